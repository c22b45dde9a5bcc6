// What makes the pages more convenient. Everything works without it.
"use strict";

// Parts of a page that change, as the server wrote them: until it says that they stand still, the
// page is asked for again. Where the reader is on it stays.
const written = new Map();
for (const part of document.querySelectorAll("[data-live]")) written.set(part, part.innerHTML);

function follow() {
  const seconds = document.querySelector("[data-follow]")?.dataset.follow;
  if (seconds) setTimeout(() => look().finally(follow), seconds * 1000);
}

async function look() {
  const address = new URL(location.href);
  address.searchParams.set("refreshed", "1");
  const answer = await fetch(address).catch(() => null);
  if (answer?.redirected) location.reload();
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const [part, before] of written) {
    const now = page.getElementById(part.id)?.innerHTML ?? "";
    if (now === before) continue;
    written.set(part, now);
    part.innerHTML = now;
    localise(part);
  }
}

follow();

// Times in the reader's own zone; the title keeps UTC.
const formats = {
  time: new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }),
  date: new Intl.DateTimeFormat(undefined, { dateStyle: "medium" }),
};
function localise(part) {
  for (const time of part.querySelectorAll("time[data-shown]")) {
    time.textContent = formats[time.dataset.shown].format(new Date(time.dateTime));
  }
}
localise(document);

const hour = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
for (const label of document.querySelectorAll("text[data-time]")) {
  const moment = new Date(label.dataset.time);
  const format = label.dataset.unit === "day" ? day : hour;
  label.textContent = format.format(moment);
}

// Whoever loads by hand a page that loaded itself anew is somebody who uses it.
const address = new URL(location);
if (address.searchParams.has("refreshed")) {
  address.searchParams.delete("refreshed");
  history.replaceState(null, "", address);
}

// A box that ticks all others of its table, and the count of those that are ticked.
for (const all of document.querySelectorAll("input[data-all]")) {
  const boxes = [...document.querySelectorAll(`input[name="${all.dataset.all}"]`)];
  const counts = document.querySelectorAll(`[data-count="${all.dataset.all}"]`);
  const show = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    all.checked = ticked === boxes.length;
    all.indeterminate = ticked > 0 && ticked < boxes.length;
    for (const count of counts) count.textContent = ticked ? ` (${ticked})` : "";
  };
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    show();
  });
  for (const box of boxes) box.addEventListener("change", show);
  show();
}

// Errors are read first.
document.getElementById("errors")?.focus();

// A button that copies a field; browsers allow it over https and on the machine itself.
for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue;
  const field = document.getElementById(button.dataset.copy);
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.select();
    await navigator.clipboard.writeText(field.value);
    button.textContent = "Copied";
  });
}
