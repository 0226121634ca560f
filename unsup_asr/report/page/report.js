// Samples that are seen and heard, and confusions that are said, of a report.
const WAV_HEADER_BYTES = 44;

for (const sample of document.querySelectorAll(".sample")) {
  const strip = sample.querySelector(".strip"), audio = sample.querySelector("audio");
  const bytes = fromBase64(audio.src.slice(audio.src.indexOf(",") + 1));
  const sound = from16Bit(bytes.slice(WAV_HEADER_BYTES), +audio.dataset.rate);
  fillStrip(strip, sound);
  audio.onplay = () => {
    if (playing) playing.stop();
    const seconds = sound.samples.length / sound.rate;
    follow(strip, seconds, () => (audio.paused ? undefined : audio.currentTime));
  };
}

for (const table of document.querySelectorAll(".confusions")) {
  const says = document.getElementById(table.getAttribute("aria-describedby"));
  const cells = [...table.querySelectorAll("tbody td")];
  const say = ({ target }) => { if (target.title) says.textContent = target.title; };
  table.addEventListener("mouseover", say);
  table.addEventListener("focusin", say);
  rove(table, cells, table.rows[0].cells.length - 1);
}
