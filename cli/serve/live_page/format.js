// SPDX-License-Identifier: Apache-2.0
//
// Figures as people read them: the same forms as on the terminal (cli/report/report.cc).
'use strict';

const kMinus = '\u2212';
const kNotKnown = '\u2013';

function threeDigits(bytes) {
  if (bytes < 1024) return `${Math.round(bytes)} B`;
  let amount = bytes / 1024;
  const units = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let unit = 0;
  for (; amount >= 1023.5 && unit + 1 < units.length; ++unit) amount /= 1024;
  const decimals = amount < 9.995 ? 2 : amount < 99.95 ? 1 : 0;
  return `${amount.toFixed(decimals)} ${units[unit]}`;
}

function formatBytes(bytes) {
  if (bytes === null || bytes === undefined) return kNotKnown;
  return (bytes < 0 ? kMinus : '') + threeDigits(Math.abs(bytes));
}

function formatCount(number) {
  if (number === null || number === undefined) return kNotKnown;
  return (number < 0 ? kMinus : '') + Math.abs(number).toLocaleString('en-US', {maximumFractionDigits: 0});
}

// With a sign; what rounds to nothing has none.
function signed(number, format) {
  const text = format(Math.abs(number));
  return /[1-9]/.test(text) ? (number < 0 ? kMinus : '+') + text : text;
}

function formatPerMinute(slope, format) {
  return slope === null || slope === undefined ? kNotKnown : `${signed(slope, format)}/min`;
}

// A tenth of a thread in a minute is six in an hour.
function formatFewCount(number) {
  if (number < 0.05) return '0';
  return number < 9.95 ? number.toFixed(1) : formatCount(number);
}

function formatDuration(seconds) {
  const whole = Math.floor(seconds);
  if (whole < 1) return '0 s';
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const first = parts.findIndex(([size]) => whole >= size);
  const [size, unit] = parts[first];
  const rest = parts[first + 1] && Math.floor(whole % size / parts[first + 1][0]);
  return `${Math.floor(whole / size)} ${unit}` + (rest ? ` ${rest} ${parts[first + 1][1]}` : '');
}

function formatClock(ms, withSeconds = true) {
  const form = {hour: '2-digit', minute: '2-digit', hourCycle: 'h23'};
  if (withSeconds) form.second = '2-digit';
  return new Date(ms).toLocaleTimeString('en-GB', form);
}

function formatDay(ms) {
  return new Date(ms).toLocaleDateString('en-GB', {weekday: 'short', day: 'numeric', month: 'short'});
}

// By least squares, per minute; null when the points say nothing: fewer than two, or all within a few seconds.
function slopePerMinute(points, value) {
  const known = points.filter(point => value(point) !== null);
  if (known.length < 2 || known[known.length - 1].seconds - known[0].seconds < 5) return null;
  const mean = of => known.reduce((sum, point) => sum + of(point), 0) / known.length;
  const middle = mean(point => point.seconds), level = mean(value);
  let products = 0, squares = 0;
  for (const point of known) {
    products += (point.seconds - middle) * (value(point) - level);
    squares += (point.seconds - middle) ** 2;
  }
  return products / squares * 60;
}
