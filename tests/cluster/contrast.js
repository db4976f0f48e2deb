// Of the page as it is shown: the colour behind it, and the contrast of its text and of its largest text, as in
// https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
const pixel = Object.assign(document.createElement('canvas'), { width: 1, height: 1 })
  .getContext('2d', { willReadFrequently: true });
// Painted, because a computed colour may be in any notation and let through what is below.
const paint = layers => {
  for (const layer of ['white', ...layers]) {
    pixel.fillStyle = layer;
    pixel.fillRect(0, 0, 1, 1);
  }
  return [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3);
};
const luminance = colour => {
  const [red, green, blue] = colour
    .map(part => part / 255)
    .map(part => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const behind = element => (element ? [...behind(element.parentElement), getComputedStyle(element).backgroundColor] : []);
const contrast = element => {
  const below = behind(element);
  const [dark, light] = [paint(below), paint([...below, getComputedStyle(element).color])]
    .map(luminance)
    .sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
};
const largest = document.querySelector('#views') ?? document.querySelector('h1');
return [paint(behind(document.body)).join(' '), contrast(document.body), contrast(largest)];
