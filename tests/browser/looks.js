// SPDX-License-Identifier: Apache-2.0
//
// What a designer would measure on a page. Evaluates to functions.
({
  // Elements that stick out of the window at its right, as people would have to scroll for them.
  sticksOut() {
    return [...document.querySelectorAll('body *')]
      .filter(each => each.checkVisibility() && !each.closest('thead') && !each.closest('svg'))
      .filter(each => each.getBoundingClientRect().right > innerWidth + 1)
      .map(each => each.outerHTML.slice(0, 80));
  },

  // Texts with less contrast than WCAG 2 asks for at level AA: 4.5, or 3 for large ones.
  isHardToRead() {
    const parse = color => color.match(/[\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => [r, g, b]
      .map(part => part / 255)
      .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
      .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = element => {
      for (let at = element; at; at = at.parentElement) {
        const color = parse(getComputedStyle(at).backgroundColor);
        if (color.length === 3 || color[3] === 1) return color;
      }
      return [255, 255, 255];
    };
    const hasText = element => [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
    return [...document.querySelectorAll('body *')]
      .filter(each => hasText(each) && each.checkVisibility() && !['SCRIPT', 'STYLE', 'NOSCRIPT'].includes(each.tagName))
      .map(each => {
        const style = getComputedStyle(each);
        const ink = parse(each instanceof SVGElement ? style.fill : style.color);
        const [dark, light] = [luminance(ink), luminance(ground(each))].sort((a, b) => a - b);
        return {text: each.textContent.trim().slice(0, 40), contrast: (light + 0.05) / (dark + 0.05),
                wanted: parseFloat(style.fontSize) >= 24 ? 3 : 4.5};
      })
      .filter(({contrast, wanted}) => contrast < wanted);
  },
})
