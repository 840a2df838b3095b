// @ts-check
/** The page: wires the networks to what people see and touch. */

import { AnswerPanel } from "./answer.js";
import { layerName, layerSizes, unpacked } from "./content.js";
import { Drawing } from "./drawing.js";
import { canvas, created, element, input, setText } from "./elements.js";
import { fitFrame } from "./embedding.js";
import { EnergyPanel } from "./energy.js";
import { buildGallery, nameOfSample, pixelsOfSample } from "./gallery.js";
import { Raster, showImage } from "./pictures.js";
import { Player } from "./player.js";
import { conventionalFeatures, energiesPj, runImage, spikingFeatures, sumPj } from "./run.js";
import { SpikingNetwork } from "./spiking.js";
import { Why } from "./why.js";
import { count } from "./words.js";

/** @typedef {import("./content.js").Content} Content */
/** @typedef {import("./run.js").Run} Run */

class Page {
  /** @type {Run} */
  #run;
  #stream;
  /** @type {{picture: Raster, total: HTMLElement}[]} */
  #rasters = [];

  /** @param {Content} content */
  constructor(content) {
    this.content = content;
    this.network = new SpikingNetwork(content.spiking.layers, content.spiking.readout);
    this.drawing = new Drawing(canvas("drawing"), (isFinished) => this.#drawn(isFinished));
    this.player = new Player(() => this.#show());
    this.#stream = content.spiking.nTest;
    this.#run = this.#runOf(new Uint8Array(content.images.height * content.images.width));

    this.answer = new AnswerPanel(content);
    this.energy = new EnergyPanel(content, () => this.#load(this.#run.pixels, false));
    this.why = new Why(content);
    this.#buildRasters();
    buildGallery(content, (number) => this.showSample(number, true));
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

  get #lastStep() {
    return this.energy.stopsEarly ? this.#run.exitStep : this.content.spiking.nSteps;
  }

  // Building ---------------------------------------------------------------------------

  #buildRasters() {
    const sizes = layerSizes(this.content);
    sizes.forEach((size, layer) => {
      const figure = created("figure");
      const caption = created("figcaption", `${layerName(this.content, layer)}: ${count(size)} `);
      const total = created("span", "0");
      caption.append(layer === 0 ? "pixels" : "neurons", ", ", total, " spikes");
      const raster = created("canvas", "", "raster");
      raster.setAttribute("role", "img");
      raster.setAttribute("aria-label", `Spikes of the ${layerName(this.content, layer)} over time`);
      figure.append(caption, raster);
      element("rasters").append(figure);
      this.#rasters.push({ picture: new Raster(raster), total });
    });
  }

  #listen() {
    element("clear").addEventListener("click", () => {
      this.drawing.clear();
      this.#drawn(false);
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

  /** @param {boolean} isFinished whether the pen was lifted: then the run is played */
  #drawn(isFinished) {
    const { height, width, inkSide } = this.content.images;
    if (this.#stream < this.content.spiking.nTest) this.#stream = this.content.spiking.nTest;
    element("source").textContent = "your drawing";
    this.#load(this.drawing.pixels(height, width, inkSide), isFinished);
  }

  /**
   * @param {number} number of a sample in the gallery
   * @param {boolean} animate
   */
  showSample(number, animate) {
    this.drawing.clear();
    this.#stream = this.content.samples[number].index;
    element("source").textContent = nameOfSample(this.content, number);
    this.#load(pixelsOfSample(this.content, number), animate);
  }

  /**
   * @param {Uint8Array} pixels
   * @param {boolean} animate
   */
  #load(pixels, animate) {
    this.#run = this.#runOf(pixels);
    this.#repaint();
    if (this.#run.isEmpty) {
      this.player.load(this.#lastStep, false);
      this.player.moveTo(0);
      return;
    }
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.player.load(this.#lastStep, animate && !still);
  }

  /** Show a run from its beginning, or the same run in another size or colour. */
  #repaint() {
    document.body.classList.toggle("is-empty", this.#run.isEmpty);
    this.#loadRasters();
    showImage(canvas("pixels"), this.#run.pixels, this.content.images.width);
    element("stream").textContent = String(this.#stream);
    this.answer.load(this.#run);
    this.energy.load(this.#run, this.#lastStep);
    this.why.show(this.#run, this.#lastStep);
    this.#show();
    this.drawing.paint();
  }

  #loadRasters() {
    const sizes = layerSizes(this.content);
    this.#rasters.forEach(({ picture }, layer) => {
      const steps = this.#run.moments.map(({ spikes }) => (this.#run.isEmpty ? [] : spikes[layer]));
      picture.load(steps, sizes[layer], this.#run.exitStep);
    });
  }

  // What is shown of a step: as little work as possible, 60 times a second ---------------

  #show() {
    const { cursor } = this.player;
    const isShown = cursor > 0 && !this.#run.isEmpty;
    const moment = isShown ? this.#run.moments[cursor - 1] : null;
    this.#showControls(cursor);
    this.#rasters.forEach(({ picture, total }, layer) => {
      picture.show(cursor);
      setText(total, count(moment?.spikeTotals[layer] ?? 0));
    });
    this.answer.show(moment, cursor === this.#lastStep);
    this.energy.show(cursor);
  }

  /** @param {number} cursor */
  #showControls(cursor) {
    const { nSteps, stepMs } = this.content.spiking;
    setText(element("play"), this.player.isPlaying ? "Pause" : "Play");
    input("position").max = String(this.#lastStep);
    input("position").value = String(cursor);
    const { exitStep } = this.#run;
    const exit = exitStep < nSteps && !this.#run.isEmpty ? `; it may stop after step ${exitStep}` : "";
    const milliseconds = Number((cursor * stepMs).toPrecision(3));
    setText(element("time"), `step ${cursor} of ${nSteps}, ${milliseconds} ms${exit}`);
  }
}

const packed = JSON.parse(/** @type {string} */ (element("content").textContent));
const content = /** @type {Content} */ (await unpacked(packed));
const page = new Page(content);
fitFrame();

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
