// Times in the reader's zone, copy buttons, and an execution's page that follows what happens.
"use strict";

const MOST_LINES = 5000; // in the page; earlier ones are let go
const GAP = 300; // milliseconds between two looks at the page

function localize(root) {
  for (const each of root.querySelectorAll("time[datetime]")) {
    const at = new Date(each.dateTime);
    if (Number.isNaN(at.getTime()) || each.title) continue;
    each.title = each.dateTime;
    each.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  }
}

function copying(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
}

function prepare(root) {
  localize(root);
  copying(root);
}

function cell(text, name) {
  const made = document.createElement("td");
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

function appendLine(lines, entry) {
  const box = lines.closest(".log");
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  const row = document.createElement("tr");
  row.className = entry.level.toLowerCase();
  const at = document.createElement("time");
  at.dateTime = entry.timestamp;
  at.textContent = entry.timestamp;
  const first = cell("");
  first.append(at);
  row.append(first, cell(entry.level), cell(entry.taskId || ""), cell(entry.message, "message"));
  localize(row);
  lines.append(row);
  while (lines.rows.length > MOST_LINES) lines.rows[0].remove();
  if (atEnd) box.scrollTop = box.scrollHeight;
}

function followLog(api, id, after) {
  const lines = document.getElementById("lines");
  const stream = new EventSource(`${api}/logs/${id}/follow?after=${after}`);
  stream.addEventListener("message", (message) => appendLine(lines, JSON.parse(message.data)));
  stream.addEventListener("end", () => stream.close());
}

function followStanding(api, id) {
  const standing = document.getElementById("standing");
  const stream = new EventSource(`${api}/executions/${id}/follow`);
  let looking = false;
  let again = false;

  async function look() {
    if (looking) { again = true; return; }
    looking = true;
    do {
      again = false;
      const open = [...standing.querySelectorAll("details")].map((each) => each.open);
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) break;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("standing");
      fresh.querySelectorAll("details").forEach((each, place) => { if (open[place]) each.open = true; });
      standing.replaceChildren(...fresh.childNodes);
      prepare(standing);
      await new Promise((done) => { setTimeout(done, GAP); });
    } while (again);
    looking = false;
  }

  stream.addEventListener("message", (message) => {
    if (message.lastEventId === "end") stream.close();
    look();
  });
}

prepare(document);
const { execution, after } = document.body.dataset;
if (execution) {
  const api = "/api/v1/main";
  const id = encodeURIComponent(execution);
  followStanding(api, id);
  followLog(api, id, after);
}
