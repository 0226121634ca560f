"use strict";
// Sound and its picture, for reports and the page of `serve`. A strip is an element with canvases
// .wave and .spectrogram, rows of buttons with data-start and data-end in seconds, and a .playhead.
// A sound is { samples: Float32Array, rate }.
const WINDOW_S = 0.025, HOP_S = 0.01, FLOOR_DB = -70, WIDEST_PX = 30000;
let context, playing;

function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function from16Bit(bytes, rate) {
  return { samples: Float32Array.from(new Int16Array(bytes.buffer), (x) => x / 32768), rate };
}

// Draw a sound into a strip, and let what is clicked there be heard.
function fillStrip(strip, sound) {
  const seconds = sound.samples.length / sound.rate;
  const width = Math.min(WIDEST_PX, Math.max(1, Math.round(strip.clientWidth)));
  const wave = strip.querySelector(".wave"), spectrogram = strip.querySelector(".spectrogram");
  drawWave(wave, sound.samples, width);
  drawSpectrogram(spectrogram, sound, width);
  for (const canvas of [wave, spectrogram])
    canvas.onclick = (event) => play(strip, sound, seconds * event.offsetX / canvas.clientWidth, seconds);
  for (const row of strip.querySelectorAll(".row")) {
    const buttons = [...row.querySelectorAll("button")];
    rove(row, buttons);
    for (const button of buttons)
      button.onclick = () => play(strip, sound, +button.dataset.start, +button.dataset.end, button);
  }
}

// Tab comes to one button of a row; arrows, Home and End go on from there.
function rove(row, buttons, perLine = buttons.length) {
  buttons.forEach((button, i) => { button.tabIndex = i ? -1 : 0; });
  row.onkeydown = (event) => {
    const at = buttons.indexOf(document.activeElement);
    const to = {
      ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + perLine, ArrowUp: at - perLine,
      Home: 0, End: buttons.length - 1,
    }[event.key];
    if (at < 0 || !buttons[to]) return;
    event.preventDefault();
    buttons[at].tabIndex = -1;
    buttons[to].tabIndex = 0;
    buttons[to].focus();
  };
}

async function play(strip, sound, start, end, button) {
  context ??= new AudioContext();
  await context.resume();
  if (playing) playing.stop();
  for (const audio of document.querySelectorAll("audio")) audio.pause();
  const buffer = context.createBuffer(1, sound.samples.length, sound.rate);
  buffer.copyToChannel(sound.samples, 0);
  const source = context.createBufferSource(), began = context.currentTime;
  source.buffer = buffer;
  source.connect(context.destination);
  button?.classList.add("playing");
  source.onended = () => {
    button?.classList.remove("playing");
    if (playing === source) playing = undefined;
  };
  source.start(0, start, end - start);
  playing = source;
  const seconds = sound.samples.length / sound.rate;
  follow(strip, seconds, () => (playing === source ? start + context.currentTime - began : undefined));
}

// Move the playhead to the time that `now` gives, until it gives none.
function follow(strip, seconds, now) {
  const head = strip.querySelector(".playhead");
  const step = () => {
    const time = now();
    head.hidden = time === undefined;
    if (head.hidden) return;
    head.style.left = `${Math.min(100, 100 * time / seconds)}%`;
    requestAnimationFrame(step);
  };
  step();
}

function drawWave(canvas, samples, width) {
  const pen = canvas.getContext("2d"), middle = canvas.height / 2;
  canvas.width = width;
  pen.fillStyle = "#3f7fd0"; // seen on light and on dark
  for (let x = 0; x < width; x++) {
    let low = 0, high = 0;
    const end = Math.floor((x + 1) * samples.length / width);
    for (let i = Math.floor(x * samples.length / width); i < end; i++) {
      low = Math.min(low, samples[i]);
      high = Math.max(high, samples[i]);
    }
    pen.fillRect(x, middle * (1 - high), 1, Math.max(1, middle * (high - low)));
  }
}

function drawSpectrogram(canvas, { samples, rate }, width) {
  const pen = canvas.getContext("2d"), height = canvas.height;
  const window = Math.round(WINDOW_S * rate), size = 2 ** Math.ceil(Math.log2(window));
  const taper = Float64Array.from({ length: window }, (_, i) => 0.5 - 0.5 * Math.cos(2 * Math.PI * i / (window - 1)));
  const hop = Math.max(1, Math.round(HOP_S * rate)), frames = [];
  let loudest = -Infinity;
  for (let start = 0; start + window <= samples.length; start += hop) {
    const re = new Float64Array(size), im = new Float64Array(size);
    for (let i = 0; i < window; i++) re[i] = samples[start + i] * taper[i];
    fourier(re, im);
    const decibels = new Float32Array(size / 2);
    for (let k = 0; k < size / 2; k++) {
      decibels[k] = 10 * Math.log10(re[k] ** 2 + im[k] ** 2 + 1e-12);
      loudest = Math.max(loudest, decibels[k]);
    }
    frames.push(decibels);
  }
  canvas.width = width;
  if (!frames.length) return;
  const image = pen.createImageData(width, height);
  for (let x = 0; x < width; x++) {
    const at = (x / width * samples.length - window / 2) / hop;
    const frame = frames[Math.min(frames.length - 1, Math.max(0, Math.round(at)))];
    for (let y = 0; y < height; y++) {
      const bin = Math.floor((height - 1 - y) / height * size / 2);
      const grey = 255 * Math.min(1, (frame[bin] - loudest) / FLOOR_DB);
      image.data.set([grey, grey, grey, 255], 4 * (y * width + x));
    }
  }
  pen.putImageData(image, 0, 0);
}

function fourier(re, im) { // in place, by halves
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) { [re[i], re[j]] = [re[j], re[i]]; [im[i], im[j]] = [im[j], im[i]]; }
  }
  for (let length = 2; length <= n; length <<= 1) {
    for (let k = 0; k < length / 2; k++) {
      const c = Math.cos(2 * Math.PI * k / length), s = -Math.sin(2 * Math.PI * k / length);
      for (let i = k; i < n; i += length) {
        const j = i + length / 2, a = re[j] * c - im[j] * s, b = re[j] * s + im[j] * c;
        re[j] = re[i] - a; im[j] = im[i] - b;
        re[i] += a; im[i] += b;
      }
    }
  }
}
