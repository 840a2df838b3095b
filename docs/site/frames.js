/* A frame as high as the page in it, which says how high it is. */
addEventListener("message", ({ data, source }) => {
  for (const frame of document.querySelectorAll("iframe.playground")) {
    if (frame.contentWindow === source && data.playgroundHeight > 0) {
      frame.style.height = `${data.playgroundHeight}px`;
    }
  }
});
