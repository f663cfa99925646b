// SPDX-License-Identifier: Apache-2.0
//
// The tables of what grows. Names come from the watched program: they are only ever set as text.
'use strict';

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function cell(className, label, ...children) {
  const made = element('td', className, ...children);
  made.setAttribute('role', 'cell');
  if (label) made.dataset.label = label;
  return made;
}

function growthCell(label, number, text) {
  const made = cell('number', label, text);
  if (number !== null && /[1-9]/.test(text)) made.classList.add(number > 0 ? 'up' : 'down');
  return made;
}

function spark(times, values, style) {
  const svg = svgElement('svg', {class: `spark ${style}`, viewBox: '0 0 96 20', preserveAspectRatio: 'none', 'aria-hidden': 'true'});
  if (times.length < 2) return svg;
  const from = times[0], span = times[times.length - 1] - from;
  const most = Math.max(...values), least = Math.min(...values);
  const range = Math.max(most - least, most / 10, 1);  // what hardly changes shall not look as if it did
  const x = time => ((time - from) / span * 96).toFixed(1);
  const y = value => (18 - (value - least) / range * 16).toFixed(1);
  svg.append(svgElement('path', {d: 'M' + values.map((value, i) => `${x(times[i])} ${y(value)}`).join('L')}));
  return svg;
}

function row(...cells) {
  const made = element('tr', '', ...cells);
  made.setAttribute('role', 'row');
  return made;
}

function emptyRow(sentence) {
  const only = cell('empty', '', sentence);
  only.colSpan = 5;
  return row(only);
}

function siteRow(site, times) {
  const name = cell('name', '', element('span', 'mono', site.function), element('span', 'where mono', site.location));
  const live = cell('number', 'Live', formatBytes(site.live_bytes));
  live.title = `${formatCount(site.live_blocks)} ${site.live_blocks === 1 ? 'block' : 'blocks'}`;
  return row(name, live,
    growthCell('Since start', site.grown_bytes, signed(site.grown_bytes, formatBytes)),
    growthCell('Per minute', site.bytes_per_minute, formatPerMinute(site.bytes_per_minute, formatBytes)),
    cell('trend', '', spark(times, site.trend, 'heap')));
}

function groupRow(group, times) {
  const place = element('span', 'mono', group.place || 'not looked at');
  if (group.state) place.append(' ', element('span', 'state-tag', `[${group.state}]`));
  const name = cell('name', '', place, element('span', 'where', 'made by ', element('span', 'mono where-name', group.creator)));
  return row(name, cell('number', 'Threads', formatCount(group.threads)),
    growthCell('Growth', group.grown, signed(group.grown, formatCount)),
    growthCell('Per minute', group.per_minute, formatPerMinute(group.per_minute, formatFewCount)),
    cell('trend', '', spark(times, group.trend, 'threads')));
}

function showGrowth(growth, startMs) {
  const byId = id => document.getElementById(id);
  const sites = growth.sites.map(site => siteRow(site, growth.heap_times));
  const groups = growth.groups.map(group => groupRow(group, growth.thread_times));
  byId('site-rows').replaceChildren(...(sites.length ? sites : [emptyRow('Nothing has grown.')]));
  byId('group-rows').replaceChildren(...(groups.length ? groups : [emptyRow('No threads are known.')]));
  byId('sites-note').textContent = 'live heap, by the place in the program\u2019s own code that asked for it';
  byId('groups-note').textContent = growth.threads_since === null ? '' :
    `growth since ${formatClock(startMs + growth.threads_since * 1000)}, when this page first looked`;
}
