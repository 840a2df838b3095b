// @ts-check
/** Why this answer: a neuron's incoming weights, and the neurons that drove it. */

import { layerName } from "./content.js";
import { canvas, choice, created, element, input } from "./elements.js";
import { showWeights } from "./pictures.js";
import { count } from "./words.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./spiking.js").LayerData} LayerData */

const N_DRIVERS = 5; // neurons shown as the reasons for a spike

export class Why {
  #layer;
  #unit = 0;
  /** Until visitors choose a neuron, it is the output of the answer. */
  #isChosen = false;
  /** @type {Run | null} */
  #run = null;

  /** @param {import("./content.js").Content} content */
  constructor(content) {
    this.content = content;
    this.layers = content.spiking.layers;
    this.#layer = this.layers.length;
    this.layers.forEach((_, k) => choice("layer").append(created("option", layerName(content, k + 1))));
    choice("layer").addEventListener("change", () => this.#choose(choice("layer").selectedIndex + 1, 0));
    input("unit").addEventListener("input", () => {
      this.#choose(this.#layer, input("unit").valueAsNumber || 0);
    });
  }

  /** @param {Run} run */
  show(run) {
    this.#run = run;
    if (!this.#isChosen) this.#unit = run.moments[run.moments.length - 1].answer;
    this.#paint();
  }

  /**
   * @param {number} layer
   * @param {number} unit
   */
  #choose(layer, unit) {
    this.#isChosen = true;
    this.#layer = layer;
    this.#unit = Math.min(Math.max(unit, 0), this.layers[layer - 1].nUnits - 1);
    this.#paint();
  }

  #paint() {
    if (!this.#run) return;
    const layer = this.layers[this.#layer - 1];
    choice("layer").selectedIndex = this.#layer - 1;
    input("unit").max = String(layer.nUnits - 1);
    input("unit").value = String(this.#unit);
    const spikes = `spiked ${spikedTimes(this.#run.spikeCounts[this.#layer][this.#unit])}.`;
    const isFirst = this.#layer === 1;
    canvas("weights").hidden = !isFirst;
    element("drivers").hidden = isFirst;
    if (isFirst) {
      element("why-text").textContent = `${this.#name()} ${spikes} It reads the pixels through these weights:`;
      showWeights(canvas("weights"), incoming(layer, this.#unit), this.content.images.width);
    } else {
      element("why-text").textContent = `${this.#name()} ${spikes} The neurons that contributed most:`;
      this.#showDrivers(layer, this.#run.spikeCounts[this.#layer - 1]);
    }
  }

  #name() {
    if (this.#layer < this.layers.length) {
      return `Neuron ${this.#unit} of the ${layerName(this.content, this.#layer)}`;
    }
    return `The output for ${this.content.images.classes[this.#unit]}`;
  }

  /**
   * The neurons whose spikes contributed most to the potential of the chosen one.
   * @param {LayerData} layer
   * @param {ArrayLike<number>} spikes of the neurons before it
   */
  #showDrivers(layer, spikes) {
    const added = Array.from(incoming(layer, this.#unit), (weight, source) => ({
      source,
      total: weight * spikes[source],
    }));
    added.sort((a, b) => b.total - a.total);
    const drivers = added.slice(0, N_DRIVERS).filter(({ total }) => total > 0);
    const items = drivers.map(({ source, total }) => {
      const plural = spikes[source] === 1 ? "spike" : "spikes";
      const text = `neuron ${source}: ${spikes[source]} ${plural} added ${Number(total.toPrecision(3))}`;
      const button = created("button", text);
      if (this.#layer === 2) button.prepend(this.#weightsOf(source));
      button.addEventListener("click", () => this.#choose(this.#layer - 1, source));
      const item = created("li");
      item.append(button);
      return item;
    });
    element("drivers").replaceChildren(...items);
  }

  /** @param {number} unit of the first layer */
  #weightsOf(unit) {
    const picture = created("canvas");
    showWeights(picture, incoming(this.layers[0], unit), this.content.images.width);
    return picture;
  }
}

/** @param {number} number */
function spikedTimes(number) {
  return number === 1 ? "once" : `${count(number)} times`;
}

/**
 * The weights that lead to a neuron, by source.
 * @param {LayerData} layer
 * @param {number} unit
 */
function incoming(layer, unit) {
  return Float64Array.from(
    { length: layer.nSources },
    (_, source) => layer.weights[source * layer.nUnits + unit],
  );
}
