// @ts-check
/**
 * The spiking network, step by step, in the engine's arithmetic.
 *
 * Leaky integrate-and-fire neurons (spikejoule.network.neurons.lif): in each step
 *
 *     v = decay * u + bias, then v += weight for every spike that arrives
 *     a neuron with v >= threshold fires; u = 0, or v - threshold, after a spike, else v
 *
 * Floating-point networks round as float32 does after each operation. Integer networks
 * compute u * leak >> 8, and u saturates.
 */

import { fma32 } from "./arithmetic.js";

/**
 * @typedef {Object} LayerData
 * @property {Float32Array | Int8Array} weights row by source, [nSources * nUnits]
 * @property {Float32Array | Int32Array | null} biases [nUnits]
 * @property {Uint16Array | null} fanOut synapses of each source; null if all exist
 * @property {number} nSources
 * @property {number} nUnits
 * @property {number} threshold
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
      if (potential >= threshold) {
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

/** A chain of fully connected layers. */
export class SpikingNetwork {
  /** @param {LayerData[]} layers */
  constructor(layers) {
    this.layers = layers.map((data) => new Layer(data));
    this.nClasses = layers[layers.length - 1].nUnits;
  }

  reset() {
    for (const layer of this.layers) layer.reset();
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
    return { spikes, events };
  }
}

/**
 * When a network may stop: at the first output spike, or once a class leads the second by
 * some spikes.
 * @typedef {{rule: "first_spike"} | {rule: "lead", margin: number}} ExitRule
 */

/**
 * @param {Uint16Array} counts output spikes of each class
 * @param {ExitRule} rule
 */
export function mayStop(counts, rule) {
  if (rule.rule === "first_spike") return counts.some((count) => count > 0);
  const [first, second] = [...counts].sort((a, b) => b - a);
  return first - (second ?? 0) >= rule.margin;
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
