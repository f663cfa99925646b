// SPDX-License-Identifier: Apache-2.0
//
// Asks for data as long as somebody looks, and puts it on the page. When no answer comes, the last data stays.
'use strict';

const kLiveEveryMs = 1000, kGrowthEveryMs = 5000, kHiddenEveryMs = 15000, kSlowestMs = 10000, kPatienceMs = 8000;
const kMostPoints = 1600;   // then the server's own, thinner selection is fetched anew
const kSlopeSeconds = 300;
const kShortestSpan = 30;   // seconds that a plot shows at least
const kStaleSeconds = 10;

const byId = id => document.getElementById(id);
const state = {data: null, growth: null, points: [], receivedMs: 0, rangeSeconds: 600, lostSinceMs: null};

async function fetchJson(path) {
  const response = await fetch(path, {signal: AbortSignal.timeout(kPatienceMs), cache: 'no-store'});
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

// Calls `ask` again and again: slower while it fails, seldom or not at all while nobody sees the page.
class Poller {
  constructor(ask, everyMs, hiddenMs) {
    Object.assign(this, {ask, everyMs, hiddenMs, failures: 0, isAsking: false, timer: 0});
    document.addEventListener('visibilitychange', () => this.schedule(0));
    this.schedule(0);
  }

  schedule(ms) {
    clearTimeout(this.timer);
    if (this.isAsking) return;
    const delay = document.visibilityState === 'visible' ? ms : this.hiddenMs;
    if (delay !== null) this.timer = setTimeout(() => this.run(), delay);
  }

  async run() {
    this.isAsking = true;
    try {
      await this.ask();
      this.failures = 0;
    } catch (error) {
      this.failures += 1;
    }
    this.isAsking = false;
    this.schedule(Math.min(this.everyMs * 2 ** this.failures, Math.max(kSlowestMs, this.everyMs)));
  }
}

function pointOf([seconds, live, resident, threads, allocated], before) {
  const elapsed = before ? seconds - before.seconds : 0;
  const rate = elapsed > 0 ? Math.max(0, (allocated - before.allocated) / elapsed) : null;
  return {seconds, live, resident, threads, allocated, rate};
}

function addPoints(rows) {
  for (const each of rows) state.points.push(pointOf(each, state.points[state.points.length - 1]));
}

function isSameRun(data) {
  return state.data !== null && data.pid === state.data.pid && data.program === state.data.program &&
    data.last >= state.data.last;
}

async function askLive() {
  try {
    const isContinued = state.data && state.data.last && state.points.length < kMostPoints;
    let data = await fetchJson(`live.json?after=${isContinued ? state.data.last : 0}`);
    if (isContinued && !isSameRun(data)) data = await fetchJson('live.json?after=0');
    if (!isContinued || !isSameRun(data)) state.points = [];
    addPoints(data.points ?? []);
    Object.assign(state, {data, receivedMs: Date.now(), lostSinceMs: null});
    showLive();
  } catch (error) {
    state.lostSinceMs ??= Date.now();
    showState();
    throw error;
  }
}

async function askGrowth() {
  state.growth = await fetchJson('growth.json');
  showGrowthOfThisProgram();
}

// The two answers may be of different programs when the process has just become another one.
function showGrowthOfThisProgram() {
  const {data, growth} = state;
  if (!data || !growth || growth.program === 0 || growth.program !== data.program) return;
  showGrowth(growth, startMs());
  state.growth = null;
}

// The time of day at which the seconds of the points begin.
function startMs() {
  const {data, points} = state;
  return points.length ? data.time_ms - points[points.length - 1].seconds * 1000 : 0;
}

function showLive() {
  const {data} = state;
  const command = data.command.join(' ');
  byId('command').textContent = command;
  document.title = `${(data.command[0] ?? '').split('/').pop()} \u00b7 leakwatch`;
  byId('version').textContent = `leakwatch ${data.leakwatch}`;
  if (data.program !== 0) {
    showFigures();
    showPlots();
    showGrowthOfThisProgram();
    byId('not-seen').replaceChildren(...data.not_seen.map(sentence => element('li', '', sentence)));
  }
  showState();
}

function showFigures() {
  const {data: {now, seconds}, points} = state;
  const recent = points.filter(point => point.seconds >= seconds - kSlopeSeconds);
  const show = (id, text) => { byId(id).textContent = text; };
  const showSlope = (id, value, format) => show(id, formatPerMinute(slopePerMinute(recent, value), format));
  show('live', formatBytes(now.live_bytes));
  show('resident', formatBytes(now.resident_bytes));
  show('threads', formatCount(now.kernel_threads));
  show('blocks', formatCount(now.live_blocks));
  const rates = points.slice(-5).map(point => point.rate).filter(rate => rate !== null);
  show('rate', rates.length ? `${formatBytes(rates.reduce((sum, rate) => sum + rate, 0) / rates.length)}/s` : kNotKnown);
  show('allocated', `${formatBytes(now.allocated_bytes)} in all`);
  show('sites', `from ${formatCount(now.sites)} sites`);
  showSlope('live-slope', point => point.live, formatBytes);
  showSlope('resident-slope', point => point.resident, formatBytes);
  showSlope('threads-slope', point => point.threads, formatFewCount);
  if (now.threads_unjoined > 0)
    byId('threads-slope').append(`, ${formatCount(now.threads_unjoined)} never joined`);
}

function onCursor(seconds) {
  for (const plot of plots) plot.setCursor(seconds);
  byId('moment').textContent = seconds === null ? '' : formatClock(startMs() + seconds * 1000);
}

const plots = [
  new Plot(byId('memory-plot'), {
    series: [{name: 'Resident (RSS)', style: 'resident', value: point => point.resident},
             {name: 'Live heap', style: 'heap', value: point => point.live, area: true}],
    format: formatBytes, isBytes: true, onCursor}),
  new Plot(byId('threads-plot'), {
    series: [{name: 'Threads', style: 'threads', value: point => point.threads, area: true}],
    format: formatCount, isBytes: false, onCursor}),
  new Plot(byId('rate-plot'), {
    series: [{name: 'Allocating', style: 'rate', value: point => point.rate, area: true}],
    format: bytes => bytes === null ? kNotKnown : `${formatBytes(bytes)}/s`, isBytes: true, onCursor}),
];

function showPlots() {
  const to = state.data.seconds;
  const first = state.points.length ? state.points[0].seconds : 0;
  const reach = state.rangeSeconds === 0 ? first : Math.max(first, to - state.rangeSeconds);
  const from = Math.min(reach, to - kShortestSpan);
  const visible = state.points.filter(point => point.seconds >= from);
  for (const plot of plots) plot.show(visible, from, to, startMs());
}

function showState() {
  const {data, points, lostSinceMs} = state;
  // Both are read out when they change: they are only touched then.
  const set = (className, text, banner = '') => {
    byId('state').className = `state ${className}`;
    if (byId('state').textContent !== text) byId('state').textContent = text;
    if (byId('banner').textContent !== banner) byId('banner').textContent = banner;
    byId('banner').hidden = banner === '';
  };
  if (data && data.program !== 0) byId('process').textContent = `pid ${data.pid}, watched for ${formatDuration(data.seconds)}`;
  const kStays = data ? 'What stands here is the last that was known.' : '';
  if (lostSinceMs !== null)
    return set('lost', 'no answer', `No answer since ${formatClock(state.receivedMs || lostSinceMs)}: ` +
               `the program has ended, or leakwatch is gone. ${kStays}`);
  if (data.program === 0) return set('waiting', 'waiting', 'The program has not called back yet.');
  const age = data.seconds - (points.length ? points[points.length - 1].seconds : 0);
  if (data.now.resident_bytes === null) return set('lost', 'ended', `The program has ended. ${kStays}`);
  if (age > kStaleSeconds) return set('lost', 'no news', `No new figures for ${formatDuration(age)}. ${kStays}`);
  set('live', 'live');
}

function showCommands() {
  const url = name => new URL(`debug/pprof/${name}`, document.baseURI).href;
  for (const item of byId('commands').children) {
    const command = item.dataset.command.replaceAll('{heap}', url('heap')).replaceAll('{goroutine}', url('goroutine'));
    const text = element('pre', '', command), button = element('button', 'copy', 'Copy');
    button.type = 'button';
    button.addEventListener('click', () => copy(text, button));
    item.append(element('div', 'line', text, button));
  }
}

// The clipboard is only there for pages of this machine or over TLS; elsewhere the text is selected.
async function copy(text, button) {
  getSelection().selectAllChildren(text);
  if (!navigator.clipboard) return;
  await navigator.clipboard.writeText(text.textContent);
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = 'Copy'; }, 1500);
}

for (const button of document.querySelectorAll('.ranges button')) {
  button.addEventListener('click', () => {
    state.rangeSeconds = Number(button.dataset.seconds);
    for (const each of document.querySelectorAll('.ranges button')) each.setAttribute('aria-pressed', String(each === button));
    if (state.data && state.data.program !== 0) showPlots();
  });
}
showCommands();
new Poller(askLive, kLiveEveryMs, kHiddenEveryMs);
new Poller(askGrowth, kGrowthEveryMs, null);
