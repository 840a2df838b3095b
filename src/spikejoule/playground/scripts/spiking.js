// @ts-check
/**
 * The spiking network, step by step, in the engine's arithmetic.
 *
 * Leaky integrate-and-fire neurons (spikejoule.network.neurons.lif): in each step
 *
 *     v = decay * u + bias, then v += weight for every spike that arrives
 *     a neuron with v >= threshold fires; u = 0, or v - threshold, after a spike, else v
 *
 * An output whose potentials are the answer has no threshold, and never fires.
 *
 * Floating-point networks round as float32 does after each operation. Integer networks
 * compute u * leak >> 8, and u saturates.
 */

import { fma32 } from "./arithmetic.js";

/**
 * @typedef {Object} LayerData
 * @property {Float32Array | Int8Array} weights row by source, [nSources * nUnits]
 * @property {Float32Array | Int32Array | null} biases that every step adds, [nUnits]
 * @property {Float32Array | Int32Array} [initial] potentials before the first step; 0 if absent
 * @property {Uint16Array | null} fanOut synapses of each source; null if all exist
 * @property {number} nSources
 * @property {number} nUnits
 * @property {number | null} threshold null where neurons never fire
 * @property {number} decay fraction kept; of integer networks its 256th parts
 * @property {boolean} subtracts whether a spike lowers the potential by the threshold
 * @property {[number, number] | null} range of integer potentials; null for float32
 */

/** One layer of neurons and the synapses that lead to it. */
class Layer {
  /** @param {LayerData} data */
  constructor(data) {
    this.data = data;
    // Doubles hold integers below 2^53 exactly, and so any sum of a step.
    const Potentials = data.range ? Float64Array : Float32Array;
    this.biases = data.biases ?? new Potentials(data.nUnits);
    /** Potentials after the reset, u. */
    this.kept = new Potentials(data.nUnits);
    /** Potentials before the reset, v. */
    this.potentials = new Potentials(data.nUnits);
  }

  reset() {
    this.kept.fill(0);
    if (this.data.initial) this.kept.set(this.data.initial);
    this.potentials.fill(0);
  }

  /**
   * @param {number[]} sources that fired
   * @returns {number[]} neurons that fire
   */
  step(sources) {
    this.#leak();
    this.#integrate(sources);
    return this.#fire();
  }

  #leak() {
    const { decay, range } = this.data;
    const { kept, potentials, biases } = this;
    for (let unit = 0; unit < kept.length; unit++) {
      potentials[unit] = range
        ? Math.floor((kept[unit] * decay) / 256) + biases[unit]
        : fma32(kept[unit], decay, biases[unit]);
    }
  }

  /** @param {number[]} sources */
  #integrate(sources) {
    const { weights, nUnits } = this.data;
    const { potentials } = this;
    for (const source of sources) {
      const row = source * nUnits;
      // A Float32Array rounds each sum to float32 as it stores it.
      for (let unit = 0; unit < nUnits; unit++) potentials[unit] += weights[row + unit];
    }
  }

  #fire() {
    const { threshold, subtracts, range } = this.data;
    const { kept, potentials } = this;
    const fired = [];
    for (let unit = 0; unit < kept.length; unit++) {
      let potential = potentials[unit];
      if (threshold !== null && potential >= threshold) {
        fired.push(unit);
        potential = subtracts ? potential - threshold : 0;
      }
      kept[unit] = range ? Math.min(Math.max(potential, range[0]), range[1]) : potential;
    }
    return fired;
  }

  /**
   * Synaptic events of some spikes: the synapses that they reach.
   * @param {number[]} sources
   */
  events(sources) {
    const { fanOut, nUnits } = this.data;
    if (!fanOut) return sources.length * nUnits;
    return sources.reduce((total, source) => total + fanOut[source], 0);
  }
}

/**
 * @typedef {Object} Step what happened in one step
 * @property {number[][]} spikes of each layer, the input first
 * @property {number[]} events of each connection
 */

/**
 * How the output answers (spikejoule.network.readout).
 * @typedef {"spikes" | "potential" | "max_potential"} Readout
 */

/** A chain of fully connected layers. */
export class SpikingNetwork {
  /**
   * @param {LayerData[]} layers
   * @param {Readout} readout
   */
  constructor(layers, readout = "spikes") {
    this.layers = layers.map((data) => new Layer(data));
    this.output = this.layers[layers.length - 1];
    this.nClasses = this.output.kept.length;
    this.readout = readout;
    /** The score of each class after the last step. */
    this.scores = this.output.kept.slice();
  }

  reset() {
    for (const layer of this.layers) layer.reset();
    this.scores.fill(this.readout === "max_potential" ? -Infinity : 0);
  }

  /**
   * @param {number[]} pixels that fire in this step
   * @returns {Step}
   */
  step(pixels) {
    const spikes = [pixels];
    const events = [];
    for (const layer of this.layers) {
      const arriving = spikes[spikes.length - 1];
      events.push(layer.events(arriving));
      spikes.push(layer.step(arriving));
    }
    this.#score(spikes[spikes.length - 1]);
    return { spikes, events };
  }

  /** @param {number[]} fired outputs in this step */
  #score(fired) {
    const { scores, output, readout } = this;
    if (readout === "spikes") for (const unit of fired) scores[unit] += 1;
    else if (readout === "potential") scores.set(output.kept);
    else scores.forEach((score, unit) => (scores[unit] = Math.max(score, output.kept[unit])));
  }
}

/**
 * When a network may stop early: at the first output spike, or once a class leads the
 * second by some spikes or potential.
 * @typedef {{rule: "first_spike"} | {rule: "never"} | {rule: "lead", margin: number}} ExitRule
 */

/**
 * @param {Float32Array | Float64Array} scores of the classes, potentials in their type
 * @param {ExitRule} rule
 */
export function mayStop(scores, rule) {
  if (rule.rule === "never") return false;
  if (rule.rule === "first_spike") return scores.some((count) => count > 0);
  const [first, second] = [...scores].sort((a, b) => b - a);
  const lead = first - (second ?? 0);
  return (scores instanceof Float32Array ? Math.fround(lead) : lead) >= rule.margin;
}

/**
 * The first of the largest, as in the pipeline.
 * @param {ArrayLike<number>} values
 */
export function leader(values) {
  let best = 0;
  for (let k = 1; k < values.length; k++) if (values[k] > values[best]) best = k;
  return best;
}
