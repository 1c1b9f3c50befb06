// The front page: everything through the public API, everything a user wrote as text, never as markup.

const $ = (selector, root = document) => root.querySelector(selector);
const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const list = $("#list");
let total = 0;

async function api(path, options) {
  const response = await fetch(path, options).catch(() => {
    throw new Error("The server cannot be reached.");
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(explain(answer) ?? `The server answered ${response.status}.`);
  return answer;
}

function explain({ error, errors }) {
  if (error) return error;
  if (errors) return Object.entries(errors).map(([field, [first]]) => `${field}: ${first.message}`).join(" ");
}

function element(tag, text, attributes = {}) {
  return Object.assign(document.createElement(tag), { textContent: text }, attributes);
}

function fill(parent, items, none) {
  parent.replaceChildren(...(items.length ? items : [element("li", none, { className: "none" })]));
}

const size = (bytes) => (bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
const meta = (ticket) => `${ticket.status} · ${ticket.priority} · ${ticket.requester} · ${when.format(new Date(ticket.created_at))}`;

function row(ticket) {
  const item = $("#row").content.cloneNode(true);
  const link = $("a", item);
  link.href = `#${ticket.id}`;
  $(".title", item).textContent = ticket.title;
  $(".meta", item).textContent = meta(ticket);
  return item;
}

async function load(more = false) {
  const offset = more ? list.children.length : 0;
  try {
    const { count, tickets } = await api(`/api/tickets/?offset=${offset}`);
    total = count;
    if (!more) list.replaceChildren();
    list.append(...tickets.map(row));
    $("#summary").textContent = total ? `${list.children.length} of ${total} tickets` : "No tickets yet. Make the first one.";
    $("#more").hidden = list.children.length >= total;
    mark();
  } catch (problem) {
    $("#summary").textContent = problem.message;
  }
}

function mark() {
  for (const link of list.querySelectorAll("a")) {
    link.toggleAttribute("aria-current", link.hash === location.hash);
  }
}

async function show() {
  mark();
  const id = location.hash.slice(1);
  if (!/^[0-9a-f-]{36}$/.test(id)) return;
  const detail = $("#detail");
  try {
    const ticket = await api(`/api/tickets/${id}/`);
    const view = $("#ticket").content.cloneNode(true);
    $(".title", view).textContent = ticket.title;
    $(".meta", view).textContent = meta(ticket);
    $(".description", view).textContent = ticket.description;
    fill($(".files", view), ticket.attachments.map(file), "None");
    submit($(".say", view), async (form) => {
      await api(`/api/messages/${id}/`, { method: "POST", body: new FormData(form) });
      form.reset();
      await around(id);
    });
    detail.replaceChildren(view);
    await around(id);
  } catch (problem) {
    detail.replaceChildren(element("p", problem.message, { className: "error" }));
  }
}

function file(attachment) {
  const item = element("li", "");
  item.append(element("a", attachment.name, { href: attachment.url }), ` ${size(attachment.size)}`);
  return item;
}

// What the other services know; each part may fail alone.
async function around(id) {
  const detail = $("#detail");
  const part = (selector, path, none, items) =>
    api(path).then((answer) => items(answer), () => []).then((rows) => {
      if (location.hash === `#${id}`) fill($(selector, detail), rows, none);
    });
  await Promise.all([
    part(".steps", `/api/workflows/${id}/`, "Not started yet", ({ steps }) =>
      steps.map((step) => element("li", step.name, { className: step.done ? "done" : "" }))),
    part(".messages", `/api/messages/${id}/`, "None", ({ messages }) =>
      messages.map((message) => element("li", `${message.author}: ${message.text}`))),
    part(".notices", `/api/notifications/${id}/`, "None yet", ({ notifications }) =>
      notifications.map((notice) => element("li", `${notice.subject} → ${notice.recipient}`))),
  ]);
}

function submit(form, send) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = $("[type=submit]", form);
    const error = $(".error", form);
    button.disabled = true;
    error.hidden = true;
    try {
      await send(form);
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
    } finally {
      button.disabled = false;
    }
  });
}

async function health() {
  const response = await fetch("/health/").catch(() => undefined);
  const services = (await response?.json().catch(() => undefined))?.services ?? [{ service: "server", healthy: false }];
  $("#health").replaceChildren(
    ...services.map(({ service, healthy, checks = {} }) =>
      element("li", service, {
        className: healthy ? "" : "bad",
        title: Object.entries(checks).map(([name, outcome]) => `${name}: ${outcome}`).join("\n"),
      })),
  );
}

const dialog = $("#dialog");
$("#new").addEventListener("click", () => dialog.showModal());
$("#cancel").addEventListener("click", () => dialog.close());
$("#more").addEventListener("click", () => load(true));
addEventListener("hashchange", show);
submit($("#create"), async (form) => {
  const body = new FormData(form);
  // A browser sends an empty file when none was chosen.
  if (!$("[type=file]", form).files.length) body.delete("attachment");
  const ticket = await api("/api/tickets/", { method: "POST", body });
  form.reset();
  dialog.close();
  await load();
  location.hash = ticket.id;
});

load();
show();
health();
setInterval(health, 15_000);
