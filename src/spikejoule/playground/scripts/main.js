// @ts-check
/** The page: wires the networks to what people see and touch. */

import { unpacked } from "./content.js";
import { Drawing } from "./drawing.js";
import { Raster, showImage, showWeights } from "./pictures.js";
import { Player } from "./player.js";
import { conventionalFeatures, energiesPj, runImage, spikingFeatures, sumPj } from "./run.js";
import { leader, SpikingNetwork } from "./spiking.js";
import { comparison } from "./verdict.js";
import { count, energyRange } from "./words.js";

/** @typedef {import("./content.js").Content} Content */
/** @typedef {import("./run.js").Run} Run */

const N_DRIVERS = 5; // hidden neurons shown as the reasons for an output

/** @param {string} id */
function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element ${id}`);
  return found;
}

/** @param {string} id */
function canvas(id) {
  return /** @type {HTMLCanvasElement} */ (element(id));
}

/** @param {string} id */
function input(id) {
  return /** @type {HTMLInputElement} */ (element(id));
}

/**
 * @param {string} tag
 * @param {string} [text]
 * @param {string} [className]
 */
function created(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

class Page {
  /** @type {Run} */
  #run;
  #stream;
  #layer = 1;
  #unit = 0;
  /** @type {{picture: Raster, total: HTMLOutputElement}[]} */
  #rasters = [];

  /** @param {Content} content */
  constructor(content) {
    this.content = content;
    this.network = new SpikingNetwork(content.spiking.layers);
    this.drawing = new Drawing(canvas("drawing"), () => this.#drawn());
    this.player = new Player(() => this.#show());
    this.#stream = content.spiking.nTest;
    this.#run = this.#runOf(new Uint8Array(content.images.height * content.images.width));

    this.#buildPriceLists();
    this.#buildRasters();
    this.#buildGallery();
    this.#buildNeuronChoice();
    this.#listen();
    this.showSample(0, false);
  }

  /** @param {Uint8Array} pixels */
  #runOf(pixels) {
    return runImage(this.content, this.network, pixels, this.#stream);
  }

  /** The run that is shown. */
  get run() {
    return this.#run;
  }

  /** The pixels that both networks see. */
  get shownPixels() {
    return this.#run.pixels;
  }

  get #priceList() {
    const chosen = /** @type {HTMLSelectElement} */ (element("price-list")).selectedIndex;
    return this.content.priceLists[chosen];
  }

  get #stopsEarly() {
    return input("stop-early").checked;
  }

  get #lastStep() {
    return this.#stopsEarly ? this.#run.exitStep : this.content.spiking.nSteps;
  }

  // Building ---------------------------------------------------------------------------

  #buildPriceLists() {
    for (const list of this.content.priceLists) {
      element("price-list").append(created("option", list.title));
    }
  }

  #buildRasters() {
    const sizes = this.#layerSizes();
    sizes.forEach((size, layer) => {
      const figure = created("figure");
      const caption = created("figcaption", `${this.#layerName(layer)}: ${count(size)} `);
      const total = /** @type {HTMLOutputElement} */ (created("output", "0"));
      caption.append(layer === 0 ? "pixels" : "neurons", ", ", total, " spikes");
      const raster = /** @type {HTMLCanvasElement} */ (created("canvas", "", "raster"));
      raster.setAttribute("role", "img");
      raster.setAttribute("aria-label", `Spikes of the ${this.#layerName(layer)} over time`);
      figure.append(caption, raster);
      element("rasters").append(figure);
      this.#rasters.push({ picture: new Raster(raster), total });
    });
  }

  #layerSizes() {
    const { layers } = this.content.spiking;
    return [layers[0].nSources, ...layers.map((layer) => layer.nUnits)];
  }

  /** @param {number} layer */
  #layerName(layer) {
    const last = this.content.spiking.layers.length;
    if (layer === 0) return "input";
    if (layer === last) return "output";
    return last === 2 ? "hidden layer" : `hidden layer ${layer}`;
  }

  #buildGallery() {
    const { samples, samplePixels, images } = this.content;
    const size = images.height * images.width;
    const groups = [...new Set(samples.map((sample) => sample.group))];
    for (const group of groups) {
      const list = created("ul", "", "gallery");
      samples.forEach((sample, number) => {
        if (sample.group !== group) return;
        const button = created("button");
        const name = `test image ${sample.index}, a ${images.classes[sample.label]}`;
        button.setAttribute("aria-label", name);
        button.title = name;
        const picture = /** @type {HTMLCanvasElement} */ (created("canvas"));
        showImage(picture, samplePixels.subarray(number * size, (number + 1) * size), images.width);
        button.append(picture);
        button.addEventListener("click", () => this.showSample(number, true));
        const item = created("li");
        item.append(button);
        list.append(item);
      });
      element("gallery").append(created("h3", group), list);
    }
  }

  #buildNeuronChoice() {
    const select = element("layer");
    this.content.spiking.layers.forEach((_, k) => {
      select.append(created("option", this.#layerName(k + 1)));
    });
  }

  #listen() {
    element("clear").addEventListener("click", () => {
      this.drawing.clear();
      this.#drawn();
    });
    element("again").addEventListener("click", () => {
      this.#stream += 1;
      this.#load(this.#run.pixels, true);
    });
    element("play").addEventListener("click", () => this.player.toggle());
    element("start").addEventListener("click", () => this.player.moveTo(0));
    element("back").addEventListener("click", () => this.player.moveTo(this.player.cursor - 1));
    element("forward").addEventListener("click", () => this.player.moveTo(this.player.cursor + 1));
    element("end").addEventListener("click", () => this.player.moveTo(this.#lastStep));
    input("position").addEventListener("input", () => {
      this.player.moveTo(input("position").valueAsNumber);
    });
    input("speed").max = String(Player.nSpeeds - 1);
    input("speed").addEventListener("input", () => this.#setSpeed());
    this.#setSpeed();
    input("stop-early").addEventListener("change", () => this.#load(this.#run.pixels, false));
    element("price-list").addEventListener("change", () => this.#show());
    element("layer").addEventListener("change", () => {
      this.#layer = /** @type {HTMLSelectElement} */ (element("layer")).selectedIndex + 1;
      this.#unit = 0;
      this.#showWhy();
    });
    input("unit").addEventListener("input", () => {
      this.#unit = input("unit").valueAsNumber || 0;
      this.#showWhy();
    });
    document.addEventListener("keydown", (event) => this.#pressKey(event));
    window.addEventListener("resize", () => this.#repaint());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#repaint());
  }

  /**
   * Space plays and pauses, arrows step, unless a control has the focus.
   * @param {KeyboardEvent} event
   */
  #pressKey(event) {
    const { target } = event;
    const hasOwnKeys = "input, select, canvas";
    if (!(target instanceof Element) || target.matches(hasOwnKeys)) return;
    if (event.key === " " && !target.matches("button")) this.player.toggle();
    else if (event.key === "ArrowRight") this.player.moveTo(this.player.cursor + 1);
    else if (event.key === "ArrowLeft") this.player.moveTo(this.player.cursor - 1);
    else return;
    event.preventDefault();
  }

  #setSpeed() {
    const stepsPerSecond = this.player.setSpeed(input("speed").valueAsNumber);
    element("speed-text").textContent = `${stepsPerSecond} steps per second`;
  }

  // What is classified -----------------------------------------------------------------

  #drawn() {
    const { height, width, inkSide } = this.content.images;
    if (this.#stream < this.content.spiking.nTest) this.#stream = this.content.spiking.nTest;
    element("source").textContent = "your drawing";
    this.#load(this.drawing.pixels(height, width, inkSide), false);
  }

  /**
   * @param {number} number of a sample in the gallery
   * @param {boolean} animate
   */
  showSample(number, animate) {
    const { samples, samplePixels, images } = this.content;
    const size = images.height * images.width;
    const { index, label } = samples[number];
    this.drawing.clear();
    this.#stream = index;
    element("source").textContent = `test image ${index}, a ${images.classes[label]}`;
    this.#load(samplePixels.slice(number * size, (number + 1) * size), animate);
  }

  /**
   * @param {Uint8Array} pixels
   * @param {boolean} animate
   */
  #load(pixels, animate) {
    this.#run = this.#runOf(pixels);
    this.#repaint();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.player.load(this.#lastStep, animate && !still);
  }

  #repaint() {
    this.#loadRasters();
    showImage(canvas("pixels"), this.#run.pixels, this.content.images.width);
    this.#showWhy();
    this.#show();
    this.drawing.paint();
  }

  // What is shown ----------------------------------------------------------------------

  #show() {
    const { cursor } = this.player;
    const moment = cursor === 0 ? null : this.#run.moments[cursor - 1];
    this.#showControls(cursor);
    this.#showRasters(moment, cursor);
    this.#showAnswer(moment);
    this.#showLedger(moment, cursor);
    this.#showVerdict();
  }

  /** @param {number} cursor */
  #showControls(cursor) {
    const { nSteps, stepMs } = this.content.spiking;
    element("play").textContent = this.player.isPlaying ? "Pause" : "Play";
    input("position").max = String(this.#lastStep);
    input("position").value = String(cursor);
    const exit = this.#run.exitStep < nSteps ? `; it may stop after step ${this.#run.exitStep}` : "";
    element("time").textContent =
      `step ${cursor} of ${nSteps}, ${Number((cursor * stepMs).toPrecision(3))} ms${exit}`;
    element("stream").textContent = String(this.#stream);
  }

  #loadRasters() {
    const sizes = this.#layerSizes();
    this.#rasters.forEach(({ picture }, layer) => {
      const steps = this.#run.moments.map((moment) => moment.spikes[layer]);
      picture.load(steps, sizes[layer], this.#run.exitStep);
    });
  }

  /**
   * @param {import("./run.js").Moment | null} moment
   * @param {number} cursor
   */
  #showRasters(moment, cursor) {
    this.#rasters.forEach(({ picture, total }, layer) => {
      picture.show(cursor);
      total.value = count(moment?.spikeTotals[layer] ?? 0);
    });
  }

  /** @param {import("./run.js").Moment | null} moment */
  #showAnswer(moment) {
    const { classes } = this.content.images;
    const last = this.content.spiking.layers[this.content.spiking.layers.length - 1];
    const rows = classes.map((name, unit) => {
      const row = created("tr", "", moment?.answer === unit ? "leads" : "");
      const potential = moment ? moment.potentials[unit] / last.threshold : 0;
      const bar = created("td", "", "bar");
      const fill = created("span");
      fill.style.width = `${50 * Math.min(Math.max(potential, 0), 1.5)}%`;
      bar.append(fill);
      row.append(created("th", name), bar, created("td", count(moment?.counts[unit] ?? 0)));
      return row;
    });
    element("outputs").replaceChildren(...rows);
    const isSilent = !moment || moment.counts.every((spikes) => spikes === 0);
    element("answer").textContent = isSilent ? "no answer yet" : classes[moment.answer];
    const other = this.#run.conventional;
    element("other-answer").textContent = other ? classes[leader(other.scores)] : "";
  }

  /**
   * @param {import("./run.js").Moment | null} moment
   * @param {number} cursor
   */
  #showLedger(moment, cursor) {
    const energies = cursor === 0 ? null : this.#spikingPj(cursor);
    const rows = this.#layerSizes().map((_, layer) =>
      tableRow(
        this.#layerName(layer),
        count(moment?.spikeTotals[layer] ?? 0),
        layer === 0 ? "" : count(moment?.eventTotals[layer - 1] ?? 0),
        energies ? energyRange(energies[layer]) : "0",
      ),
    );
    const events = moment?.eventTotals.reduce((total, number) => total + number, 0) ?? 0;
    rows.push(tableRow("so far", "", count(events), energies ? energyRange(sumPj(energies)) : "0"));
    element("spiking-ledger").replaceChildren(...rows);
    this.#showConventionalLedger();
  }

  #showConventionalLedger() {
    const answer = this.#run.conventional;
    if (!answer) return;
    const energies = this.#conventionalPj();
    const last = answer.products.length;
    const rows = [...answer.products, 0].map((_, layer) => {
      const name = layer === 0 ? "input" : layer === last ? "output" : `hidden layer ${layer}`;
      return tableRow(
        last === 2 && layer === 1 ? "hidden layer" : name,
        layer === 0 ? "" : count(answer.products[layer - 1]),
        layer === 0 ? "" : count(answer.denseProducts[layer - 1]),
        energies ? energyRange(energies[layer]) : "not compared",
      );
    });
    const sum = (/** @type {number[]} */ values) => values.reduce((total, value) => total + value, 0);
    const total = energies ? energyRange(sumPj(energies)) : "not compared";
    rows.push(tableRow("all", count(sum(answer.products)), count(sum(answer.denseProducts)), total));
    element("conventional-ledger").replaceChildren(...rows);
  }

  /** @param {number} nSteps */
  #spikingPj(nSteps) {
    const prices = this.#stopsEarly ? this.#priceList.stopping : this.#priceList.spiking;
    return energiesPj(prices, spikingFeatures(this.#run, nSteps));
  }

  #conventionalPj() {
    const prices = this.#priceList.conventional;
    return prices && this.#run.conventional
      ? energiesPj(prices, conventionalFeatures(this.#run.conventional))
      : null;
  }

  #showVerdict() {
    const energies = this.#conventionalPj();
    const conventional = energies && sumPj(energies);
    const spiking = sumPj(this.#spikingPj(this.#lastStep));
    const { spikingMean, stoppingMean, conventionalMean } = this.#priceList;
    const sentences = [];
    if (conventional && conventionalMean) {
      const mean = this.#stopsEarly ? stoppingMean : spikingMean;
      const { noun } = this.content.images;
      sentences.push(comparison(`For this ${noun}`, spiking, conventional));
      sentences.push(comparison("On average over the test set", mean, conventionalMean));
    } else {
      sentences.push(`The spiking network needs ${energyRange(spiking)} for this image.`);
    }
    element("verdict").replaceChildren(...sentences.map((text) => created("p", text)));
  }

  // Why --------------------------------------------------------------------------------

  #showWhy() {
    const layer = this.content.spiking.layers[this.#layer - 1];
    input("unit").max = String(layer.nUnits - 1);
    input("unit").value = String(this.#unit);
    const spikes = this.#run.spikeCounts[this.#layer][this.#unit] ?? 0;
    const name = this.#layer === this.content.spiking.layers.length
      ? `Output ${this.content.images.classes[this.#unit]}`
      : `Neuron ${this.#unit} of the ${this.#layerName(this.#layer)}`;
    element("why-text").textContent = `${name} spiked ${count(spikes)} times.`;
    const isFirst = this.#layer === 1;
    canvas("weights").hidden = !isFirst;
    element("drivers").hidden = isFirst;
    if (isFirst) showWeights(canvas("weights"), incoming(layer, this.#unit), this.content.images.width);
    else this.#showDrivers(layer);
  }

  /** The neurons whose spikes added most to the potential of the chosen one.
   * @param {import("./spiking.js").LayerData} layer */
  #showDrivers(layer) {
    const weights = incoming(layer, this.#unit);
    const before = this.#run.spikeCounts[this.#layer - 1];
    const drivers = Array.from(weights, (weight, source) => ({
      source,
      total: weight * before[source],
    }));
    drivers.sort((a, b) => b.total - a.total);
    const items = drivers.slice(0, N_DRIVERS).map(({ source, total }) => {
      const button = created("button", `neuron ${source}: ${before[source]} spikes, +${total.toPrecision(3)}`);
      button.addEventListener("click", () => {
        this.#layer -= 1;
        /** @type {HTMLSelectElement} */ (element("layer")).selectedIndex = this.#layer - 1;
        this.#unit = source;
        this.#showWhy();
      });
      const item = created("li");
      item.append(button);
      return item;
    });
    element("drivers").replaceChildren(...items);
  }
}

/**
 * @param {string} name
 * @param {string[]} cells
 */
function tableRow(name, ...cells) {
  const row = created("tr");
  row.append(created("th", name), ...cells.map((cell) => created("td", cell)));
  return row;
}

/**
 * The weights that lead to a neuron, by source.
 * @param {import("./spiking.js").LayerData} layer
 * @param {number} unit
 */
function incoming(layer, unit) {
  return Float64Array.from(
    { length: layer.nSources },
    (_, source) => layer.weights[source * layer.nUnits + unit],
  );
}

const packed = JSON.parse(/** @type {string} */ (element("content").textContent));
const content = /** @type {Content} */ (await unpacked(packed));
const page = new Page(content);

// For tests and for the curious: `spikejoule.runImage(pixels, stream)` in the console.
Object.assign(window, {
  spikejoule: {
    content,
    page,
    runImage: (/** @type {Uint8Array} */ pixels, /** @type {number} */ stream) =>
      runImage(content, page.network, pixels, stream),
    spikingFeatures,
    conventionalFeatures,
    energiesPj,
    sumPj,
  },
});
