// xterm.js writes its styles into <style> elements and style attributes, which a strict
// Content-Security-Policy forbids. Style objects are allowed: here they take their place.

function styleElement() {
  const element = Document.prototype.createElement.call(document, "template");
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(element, "textContent", {
    set: (css) => sheet.replaceSync(css),
  });
  return element;
}

export function adoptStyles() {
  document.createElement = (name, options) =>
    name === "style"
      ? styleElement()
      : Document.prototype.createElement.call(document, name, options);
  const { setAttribute } = Element.prototype;
  Element.prototype.setAttribute = function (name, value) {
    if (name === "style") this.style.cssText = value;
    else setAttribute.call(this, name, value);
  };
}
