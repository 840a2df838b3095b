// @ts-check
/** The energy of both networks: which needs less, and the ledger of each by layer. */

import { layerName, layerSizes, nameAmong } from "./content.js";
import { choice, created, element, input, setText, tableRow } from "./elements.js";
import { conventionalFeatures, energiesPj, spikingFeatures, sumPj } from "./run.js";
import { accuracySentence, comparison } from "./verdict.js";
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
    listPrices(content);
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
    return this.content.priceLists[Number(choice("price-list").value)];
  }

  /**
   * Show what a run needs in all.
   * @param {Run} run
   * @param {number} lastStep
   */
  load(run, lastStep) {
    this.#run = run;
    this.#showConventionalLedger(run);
    if (run.isEmpty) {
      const line = `Draw a ${this.content.images.noun}, or choose a test image.`;
      element("bars").replaceChildren();
      element("verdict").replaceChildren(created("p", line));
      return;
    }
    const spiking = sumPj(this.#spikingPj(run, lastStep));
    const conventional = this.#conventionalPj(run);
    element("spiking-ledger").classList.toggle("ranges", spiking[0] !== spiking[1]);
    const sentences = conventional
      ? this.#comparison(run, lastStep, spiking, sumPj(conventional))
      : this.#withoutComparison(spiking);
    if (this.stopsEarly || conventional) {
      sentences.push(accuracySentence(this.content.accuracies, this.stopsEarly));
    }
    const bars = energyBars(spiking, conventional && sumPj(conventional));
    element("bars").replaceChildren(created("p", this.#steps(lastStep), "legend"), ...bars);
    element("verdict").replaceChildren(...sentences.map((text) => created("p", text)));
  }

  /** @param {number} lastStep */
  #steps(lastStep) {
    const { nSteps } = this.content.spiking;
    return lastStep === nSteps
      ? `For this ${this.content.images.noun}, over all ${nSteps} steps:`
      : `For this ${this.content.images.noun}, stopped after step ${lastStep} of ${nSteps}:`;
  }

  /**
   * Show what a run has needed so far.
   * @param {number} cursor steps that have passed
   */
  show(cursor) {
    if (!this.#run) return;
    if (this.#run.isEmpty) {
      for (const cell of this.#cells.flat()) setText(cell, "");
      return;
    }
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
    if (run.isEmpty) {
      for (const cell of element("conventional-ledger").querySelectorAll("td")) setText(cell, "");
      return;
    }
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
    return [...sentences, ...this.#reported(note)];
  }

  /**
   * The energy report's comparison, which is that of the whole window.
   * @param {string} note
   */
  #reported(note) {
    if (note) return [this.stopsEarly ? `${note} These energies are without early stopping.` : note];
    const listed = this.content.priceLists.filter((list) => list.note);
    if (listed.length === 0) return [];
    return [
      "How it compares with the strongest conventional networks is not known under this " +
        `price list, only under others, such as “${listed[0].title}”.`,
    ];
  }

  /** @param {Range} spiking */
  #withoutComparison(spiking) {
    const needs = `The spiking network needs ${energyRange(spiking)} for this ${this.content.images.noun}.`;
    if (this.#priceList.isOfChip) return [needs, "This chip runs spiking networks only."];
    if (!this.content.conventional) return [needs];
    return [needs, "This price list does not compare these networks: it is for another number format."];
  }
}

/**
 * Fill the choice of price lists, in groups; values are places among the price lists.
 * @param {import("./content.js").Content} content
 */
function listPrices({ priceLists, conventional }) {
  const groups = new Map(
    ["Compare both networks", "Other number formats", "Spiking chips only"].map((label) => {
      const group = created("optgroup");
      group.label = conventional || label === "Spiking chips only" ? label : "All networks";
      return [label, group];
    }),
  );
  priceLists.forEach((list, place) => {
    const option = created("option", list.title);
    option.value = String(place);
    groups.get(groupOf(list, conventional !== null))?.append(option);
  });
  const filled = [...groups.values()].filter((group) => group.children.length > 0);
  choice("price-list").append(...filled);
  choice("price-list").value = "0";
}

/**
 * @param {import("./content.js").PriceList} list
 * @param {boolean} hasOpponent whether there is a conventional network to compare with
 */
function groupOf({ isOfChip, conventional }, hasOpponent) {
  if (isOfChip) return "Spiking chips only";
  return conventional || !hasOpponent ? "Compare both networks" : "Other number formats";
}

/** @param {number[]} values */
function total(values) {
  return values.reduce((sum, value) => sum + value, 0);
}

/**
 * @param {Range} spiking
 * @param {Range | null} conventional null where it is not compared
 */
function energyBars(spiking, conventional) {
  if (!conventional) return [energyBar("spiking", spiking, spiking[1])];
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
