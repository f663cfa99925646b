// SPDX-License-Identifier: Apache-2.0
//
// A plot over time, drawn as SVG: lines with gaps where nothing was measured, axes with round numbers, and a cursor that
// all plots share. The caption doubles as legend and read-out.
'use strict';

const kMargin = {left: 62, right: 10, top: 8, bottom: 20};
const kLabel = 56, kWidestLabel = 70;  // "03:50", "03:50:30" with room around it
const kTimeSteps = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

function svgElement(name, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Round steps: 1, 2, 5 times a power of ten; of bytes, powers of two.
function roundStep(largest, ticks, isBytes) {
  const rough = Math.max(largest / ticks, 1);
  if (isBytes) return 2 ** Math.ceil(Math.log2(rough));
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find(step => step * power >= rough);
}

// Points are further apart the older they are, and evenly so: one distance that stands out is a gap.
function isGap(points, i) {
  if (i === 0) return true;
  const distance = at => at > 0 && at < points.length ? points[at].seconds - points[at - 1].seconds : 0;
  return distance(i) > 2.5 * Math.max(2, distance(i - 1), distance(i + 1));
}

class Plot {
  // series: [{name, style, value: point => number or null, area}]
  constructor(figure, {series, format, isBytes, onCursor}) {
    Object.assign(this, {figure, series, format, isBytes, onCursor, points: [], from: 0, to: 1, cursor: null});
    this.caption = figure.querySelector('figcaption');
    this.title = this.caption.textContent;
    this.svg = svgElement('svg', {tabindex: 0, role: 'slider', 'aria-label': `${this.title} over time`});
    figure.append(this.svg);
    this.svg.addEventListener('pointermove', event => this.pointAt(event.clientX));
    this.svg.addEventListener('pointerdown', event => this.pointAt(event.clientX));
    this.svg.addEventListener('pointerleave', () => this.onCursor(null));
    this.svg.addEventListener('blur', () => this.onCursor(null));
    this.svg.addEventListener('keydown', event => this.step(event));
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  show(points, from, to, startMs) {
    Object.assign(this, {points, from, to, startMs});
    this.draw();
  }

  setCursor(seconds) {
    this.cursor = seconds;
    this.draw();
  }

  x(seconds) { return kMargin.left + (seconds - this.from) / (this.to - this.from) * this.innerWidth; }
  y(value) { return kMargin.top + this.innerHeight * (1 - value / this.top); }

  pointAt(clientX) {
    const offset = clientX - this.svg.getBoundingClientRect().left;
    const seconds = this.from + (offset - kMargin.left) / this.innerWidth * (this.to - this.from);
    const nearest = this.nearest(seconds);
    this.onCursor(nearest ? nearest.seconds : null);
  }

  nearest(seconds) {
    return this.points.reduce((best, point) =>
      best && Math.abs(best.seconds - seconds) <= Math.abs(point.seconds - seconds) ? best : point, null);
  }

  step(event) {
    const steps = {ArrowLeft: -1, ArrowRight: 1, PageUp: 30, PageDown: -30, Home: -Infinity, End: Infinity};
    if (!(event.key in steps) || this.points.length === 0) return;
    event.preventDefault();
    const last = this.points.length - 1;
    const now = this.cursor === null ? last : this.points.indexOf(this.nearest(this.cursor));
    this.onCursor(this.points[Math.min(last, Math.max(0, now + steps[event.key]))].seconds);
  }

  draw() {
    const width = this.svg.clientWidth, height = this.svg.clientHeight;
    if (width === 0) return;
    this.innerWidth = Math.max(1, width - kMargin.left - kMargin.right);
    this.innerHeight = height - kMargin.top - kMargin.bottom;
    this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    const highest = this.points.reduce(
      (most, point) => Math.max(most, ...this.series.map(each => each.value(point) ?? 0)), 0);
    const step = roundStep(highest * 1.04, height > 160 ? 5 : 3, this.isBytes);
    this.top = Math.max(1, Math.ceil(highest * 1.04 / step)) * step;
    const children = [...this.valueAxis(step), ...this.timeAxis(width, height)];
    for (const each of this.series) children.push(...this.lines(each));
    this.svg.replaceChildren(...children, ...this.cursorMarks(height));
    this.writeCaption();
  }

  valueAxis(step) {
    const marks = [];
    for (let value = 0; value <= this.top; value += step) {
      const y = Math.round(this.y(value)) + .5;
      marks.push(svgElement('line', {class: 'rule', x1: kMargin.left, x2: kMargin.left + this.innerWidth, y1: y, y2: y}));
      marks.push(svgElement('text', {x: kMargin.left - 8, y: y + 4, 'text-anchor': 'end'}, this.format(value).replace(/\.0+ /, ' ')));
    }
    return marks;
  }

  timeAxis(width, height) {
    if (!this.startMs) return [];
    const span = this.to - this.from;
    const fits = step => step / span * this.innerWidth >= (step < 60 ? kWidestLabel : kLabel);
    const step = kTimeSteps.find(fits) ?? Math.ceil(kLabel / this.innerWidth * span / 86400) * 86400;
    // Ticks stand on round times of day, wherever the run began.
    const zone = new Date(this.startMs).getTimezoneOffset() * 60;
    const start = this.startMs / 1000 - zone;
    const marks = [];
    for (let tick = Math.ceil((start + this.from) / step) * step; tick <= start + this.to; tick += step) {
      const ms = (tick + zone) * 1000;
      const text = tick % 86400 === 0 ? formatDay(ms) : formatClock(ms, step < 60);
      const x = this.x(tick - start);
      if (x < kMargin.left + 18 || x > width - 26) continue;
      marks.push(svgElement('text', {x, y: height - 4, 'text-anchor': 'middle'}, text));
    }
    return marks;
  }

  // A path for every stretch without a gap.
  lines({style, value, area}) {
    const stretches = [];
    this.points.forEach((point, i) => {
      if (value(point) === null) return;
      const isBroken = isGap(this.points, i) || value(this.points[i - 1]) === null;
      if (isBroken) stretches.push([]);
      stretches[stretches.length - 1].push(`${this.x(point.seconds).toFixed(1)} ${this.y(value(point)).toFixed(1)}`);
    });
    const base = this.y(0).toFixed(1);
    const paths = [];
    for (const stretch of stretches) {
      const line = 'M' + stretch.join('L');
      const [left] = stretch[0].split(' '), [right] = stretch[stretch.length - 1].split(' ');
      if (area) paths.push(svgElement('path', {class: `area ${style}`, d: `${line}L${right} ${base}L${left} ${base}Z`}));
      paths.push(svgElement('path', {class: `line ${style}`, d: stretch.length === 1 ? `${line}h.1` : line}));
    }
    return paths;
  }

  cursorPoint() {
    return this.cursor === null ? null : this.nearest(this.cursor);
  }

  cursorMarks(height) {
    const point = this.cursorPoint();
    if (!point) return [];
    const x = this.x(point.seconds);
    const marks = [svgElement('line', {class: 'cursor', x1: x, x2: x, y1: kMargin.top, y2: height - kMargin.bottom})];
    for (const {style, value} of this.series) {
      if (value(point) !== null) marks.push(svgElement('circle', {class: `dot ${style}`, cx: x, cy: this.y(value(point)), r: 3}));
    }
    return marks;
  }

  writeCaption() {
    const point = this.cursorPoint() ?? this.points[this.points.length - 1];
    const entries = this.series.map(({name, style, value}) => {
      const swatch = document.createElement('i'), text = document.createElement('span'), figure = document.createElement('b');
      swatch.className = `swatch ${style}`;
      figure.textContent = point ? this.format(value(point)) : '';
      text.append(swatch, `${name} `, figure);
      return text;
    });
    this.caption.replaceChildren(...entries);
    this.svg.setAttribute('aria-valuemin', Math.round(this.from));
    this.svg.setAttribute('aria-valuemax', Math.round(this.to));
    this.svg.setAttribute('aria-valuenow', Math.round(point ? point.seconds : this.to));
    this.svg.setAttribute('aria-valuetext', this.caption.textContent +
      (point && this.startMs ? ` at ${formatClock(this.startMs + point.seconds * 1000)}` : ''));
  }
}
