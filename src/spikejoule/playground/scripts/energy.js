// @ts-check
/** The energy of both networks: which needs less, and the ledger of each by layer. */

import { layerName, layerSizes, nameAmong } from "./content.js";
import { choice, created, element, input, setText, tableRow } from "./elements.js";
import { conventionalFeatures, energiesPj, spikingFeatures, sumPj } from "./run.js";
import { comparison } from "./verdict.js";
import { count, energyRange } from "./words.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {[number, number]} Range lower and upper end, pJ */

export class EnergyPanel {
  /** @type {Run | null} */
  #run = null;
  /** Cells of the spiking network's ledger, by row. @type {HTMLTableCellElement[][]} */
  #cells;

  /**
   * @param {import("./content.js").Content} content
   * @param {() => void} changed called when another price list or rule is chosen
   */
  constructor(content, changed) {
    this.content = content;
    choice("price-list").append(...content.priceLists.map(({ title }) => created("option", title)));
    choice("price-list").addEventListener("change", changed);
    input("stop-early").addEventListener("change", changed);
    const names = layerSizes(content).map((_, layer) => layerName(content, layer));
    const rows = [...names, "so far"].map((name) => tableRow(name, "", "", ""));
    element("spiking-ledger").append(...rows);
    this.#cells = rows.map((row) => [...row.querySelectorAll("td")]);
  }

  get stopsEarly() {
    return input("stop-early").checked;
  }

  get #priceList() {
    return this.content.priceLists[choice("price-list").selectedIndex];
  }

  /**
   * Show what a run needs in all.
   * @param {Run} run
   * @param {number} lastStep
   */
  load(run, lastStep) {
    this.#run = run;
    this.#showConventionalLedger(run);
    const spiking = sumPj(this.#spikingPj(run, lastStep));
    const conventional = this.#conventionalPj(run);
    const lines = conventional
      ? [
          ...energyBars(spiking, sumPj(conventional)),
          ...this.#comparison(run, lastStep, spiking, sumPj(conventional)),
        ]
      : [created("p", `The spiking network needs ${energyRange(spiking)} for this image.`)];
    element("verdict").replaceChildren(...lines);
  }

  /**
   * Show what a run has needed so far.
   * @param {number} cursor steps that have passed
   */
  show(cursor) {
    if (!this.#run) return;
    const nLayers = this.#cells.length - 1;
    const moment = cursor === 0 ? null : this.#run.moments[cursor - 1];
    const spikes = moment?.spikeTotals ?? new Array(nLayers).fill(0);
    const events = moment?.eventTotals ?? new Array(nLayers - 1).fill(0);
    const energies = moment ? this.#spikingPj(this.#run, cursor) : null;
    for (let layer = 0; layer < nLayers; layer++) {
      const [spikeCell, eventCell, energyCell] = this.#cells[layer];
      setText(spikeCell, count(spikes[layer]));
      if (layer > 0) setText(eventCell, count(events[layer - 1]));
      setText(energyCell, energies ? energyRange(energies[layer]) : "0");
    }
    const [, eventCell, energyCell] = this.#cells[nLayers];
    setText(eventCell, count(total(events)));
    setText(energyCell, energies ? energyRange(sumPj(energies)) : "0");
  }

  /** @param {Run} run */
  #showConventionalLedger(run) {
    const answer = run.conventional;
    if (!answer) return;
    const { products, denseProducts } = answer;
    const energies = this.#conventionalPj(run);
    const inWords = (/** @type {Range | null | undefined} */ range) =>
      range ? energyRange(range) : "not compared";
    const rows = [tableRow("input", "", "", inWords(energies?.[0]))];
    products.forEach((number, k) => {
      const name = nameAmong(products.length, k + 1);
      rows.push(tableRow(name, count(number), count(denseProducts[k]), inWords(energies?.[k + 1])));
    });
    const sum = inWords(energies && sumPj(energies));
    rows.push(tableRow("all", count(total(products)), count(total(denseProducts)), sum));
    element("conventional-ledger").replaceChildren(...rows);
  }

  /**
   * @param {Run} run
   * @param {number} nSteps
   */
  #spikingPj(run, nSteps) {
    const prices = this.stopsEarly ? this.#priceList.stopping : this.#priceList.spiking;
    return energiesPj(prices, spikingFeatures(run, nSteps));
  }

  /** @param {Run} run */
  #conventionalPj({ conventional }) {
    const prices = this.#priceList.conventional;
    return prices && conventional ? energiesPj(prices, conventionalFeatures(conventional)) : null;
  }

  /**
   * @param {Run} run
   * @param {number} lastStep
   * @param {Range} spiking
   * @param {Range} conventional
   */
  #comparison(run, lastStep, spiking, conventional) {
    const { spikingMean, stoppingMean, conventionalMean, note } = this.#priceList;
    const mean = this.stopsEarly ? stoppingMean : spikingMean;
    const events = total(run.moments[lastStep - 1].eventTotals);
    const products = total(run.conventional?.products ?? []);
    const sentences = [
      comparison(`For this ${this.content.images.noun}`, spiking, conventional),
      `The spiking network adds ${count(events)} weights, one for each synaptic event; ` +
        `the conventional network computes ${count(products)} products.`,
    ];
    if (conventionalMean) {
      sentences.push(comparison("On average over the test set", mean, conventionalMean));
    }
    const lines = sentences.map((text) => created("p", text));
    // The report's ratio is that of the whole window.
    if (note && !this.stopsEarly) lines.push(created("p", note, "note"));
    return lines;
  }
}

/** @param {number[]} values */
function total(values) {
  return values.reduce((sum, value) => sum + value, 0);
}

/**
 * @param {Range} spiking
 * @param {Range} conventional
 */
function energyBars(spiking, conventional) {
  const most = Math.max(spiking[1], conventional[1]);
  return [energyBar("spiking", spiking, most), energyBar("conventional", conventional, most)];
}

/**
 * A bar as long as an energy, where `most` is full.
 * @param {string} name
 * @param {Range} range
 * @param {number} most pJ
 */
function energyBar(name, range, most) {
  const row = created("p", "", "energy-bar");
  const bar = created("span", "", "length");
  bar.style.width = `${(100 * range[1]) / most}%`;
  const track = created("span");
  track.append(bar);
  row.append(created("span", name), track, created("span", energyRange(range)));
  return row;
}
