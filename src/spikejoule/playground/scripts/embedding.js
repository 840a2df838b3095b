// @ts-check
/**
 * The page in the frame of another: `try.html#embedded` shows the essentials, and tells
 * the page around it how high it is, so that the frame needs no scroll bar.
 */

export function fitFrame() {
  if (location.hash !== "#embedded") return;
  document.documentElement.classList.add("embedded");
  const tell = () => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    window.parent.postMessage({ playgroundHeight: height }, "*");
  };
  tell(); // now: out of sight, a browser may put off what it observes
  new ResizeObserver(tell).observe(document.body);
}
