// xterm.js writes its styles into <style> elements, which a strict Content-Security-Policy
// forbids. Style sheet objects are allowed, so a <style> made here hands its text to one.

function styleElement() {
  const element = Document.prototype.createElement.call(document, "style");
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(element, "textContent", {
    get: () => "",
    set: (css) => sheet.replaceSync(css),
  });
  return element;
}

export function adoptStyles() {
  document.createElement = (name, options) =>
    name === "style"
      ? styleElement()
      : Document.prototype.createElement.call(document, name, options);
}
