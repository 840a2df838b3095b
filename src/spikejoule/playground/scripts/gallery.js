// @ts-check
/** Test images to choose from, in groups. */

import { created, element } from "./elements.js";
import { showImage } from "./pictures.js";

/** @typedef {import("./content.js").Content} Content */

/**
 * @param {Content} content
 * @param {(number: number) => void} choose called with the number of a sample
 */
export function buildGallery(content, choose) {
  const groups = [...new Set(content.samples.map((sample) => sample.group))];
  for (const group of groups) {
    const list = created("ul", "", "gallery");
    content.samples.forEach((sample, number) => {
      if (sample.group !== group) return;
      const button = created("button");
      button.title = nameOfSample(content, number);
      button.setAttribute("aria-label", button.title);
      const picture = created("canvas");
      showImage(picture, pixelsOfSample(content, number), content.images.width);
      button.append(picture);
      button.addEventListener("click", () => choose(number));
      const item = created("li");
      item.append(button);
      list.append(item);
    });
    element("gallery").append(created("h3", group), list);
  }
}

/**
 * @param {Content} content
 * @param {number} number
 */
export function nameOfSample({ samples, images }, number) {
  const { index, label } = samples[number];
  return `test image ${index}, labelled ${images.classes[label]}`;
}

/**
 * @param {Content} content
 * @param {number} number
 */
export function pixelsOfSample({ samplePixels, images }, number) {
  const size = images.height * images.width;
  return samplePixels.slice(number * size, (number + 1) * size);
}
