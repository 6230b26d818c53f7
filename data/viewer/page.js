// What every page shares: panels with a stage, controls and a caption, laid out as a list or as a grid of cards.
// `kinds` holds one function for each kind of record; the scripts of the tasks add theirs.
const kinds = {};
const dusk = matchMedia("(prefers-color-scheme: dark)");
const ground = () => (dusk.matches ? "#1a2027" : "#ffffff");
const NO_WEBGL = "This browser offers no WebGL, which the 3D view needs.";

function element(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}
const channels = colour => [1, 3, 5].map(i => parseInt(colour.slice(i, i + 2), 16));
const hex = rgb => "#" + rgb.map(c => Math.round(c).toString(16).padStart(2, "0")).join("");
// A colour that can be told from the ground: dark ones become lighter on a dark page.
function visible(colour) {
  const rgb = channels(colour), light = 0.3 * rgb[0] + 0.59 * rgb[1] + 0.11 * rgb[2];
  const share = dusk.matches ? Math.max(0, (150 - light) / 255) : 0;
  return hex(rgb.map(c => c + (255 - c) * share));
}
// The colour at t in [0, 1] of a ramp of colours.
function along(ramp, t) {
  const place = Math.min(1, Math.max(0, t)) * (ramp.length - 1), i = Math.min(ramp.length - 2, Math.floor(place));
  const one = channels(ramp[i]), two = channels(ramp[i + 1]);
  return hex(one.map((c, k) => c + (two[k] - c) * (place - i)));
}

class Panel {
  constructor() {
    this.box = element("section", "card");
    this.stage = element("div", "stage");
    this.detail = element("div", "detail");
    this.facts = element("dl", "facts");
    this.controls = element("div", "controls");
    this.note = element("p", "note");
    this.stage.append(this.detail);
    this.kept = {};                       // what toggles were set to, from record to record
    this.record = null;
  }
  // The 3D view, empty; null where the browser has none.
  scene() {
    if (this.viewer === undefined) {
      const canvas = element("div");
      canvas.style.cssText = "position:absolute;inset:0";
      this.stage.prepend(canvas);
      try {
        this.viewer = $3Dmol.createViewer(canvas, { backgroundColor: ground(), antialias: true, disableFog: true });
      } catch (error) { this.viewer = null; }
      if (!this.viewer) { this.viewer = null; canvas.remove(); }
      this.canvas = canvas;
    }
    if (!this.viewer) { this.say(NO_WEBGL); return null; }
    this.canvas.hidden = false;
    this.viewer.spin(false);
    this.viewer.clear();
    this.viewer.setBackgroundColor(ground());
    this.viewer.setView([0, 0, 0, 0, 0, 0, 0, 1]);
    return this.viewer;
  }
  say(text) { this.stage.append(element("p", "missing", text)); }
  show(record) {
    this.record = record;
    this.step = null;
    this.stage.querySelectorAll(".missing, .picture").forEach(node => node.remove());
    if (this.canvas) this.canvas.hidden = true;
    this.controls.replaceChildren();
    this.detail.replaceChildren();
    this.facts.replaceChildren();
    for (const [name, value] of record.facts || []) {
      const pair = element("div");
      pair.append(element("dt", "", name), element("dd", "", value));
      this.facts.append(pair);
    }
    this.note.textContent = record.caption || "";
    if (record.detail) this.detail.append(element("code", "", record.detail));
    kinds[record.kind](this, record);
    return this;
  }
  toggle(name, initially, change) {
    const label = element("label"), box = element("input");
    box.type = "checkbox";
    box.checked = name in this.kept ? this.kept[name] : initially;
    box.oninput = () => { this.kept[name] = box.checked; change(); };
    label.append(box, name);
    this.controls.append(label);
    return () => box.checked;
  }
  // A slider from 1 to `most`; `words` says what its value means. Arrow keys move it.
  slider(name, most, initially, words, change) {
    const label = element("label", "slide"), range = element("input"), out = element("output");
    Object.assign(range, { type: "range", min: 1, max: most, value: initially, disabled: most === 1 });
    const moved = () => { out.textContent = words(Number(range.value)); change(); };
    range.oninput = moved;
    this.step = by => { range.value = Number(range.value) + by; moved(); };
    out.textContent = words(initially);
    label.append(name, range, out);
    this.controls.append(label);
    return () => Number(range.value);
  }
  spin() {
    const turning = this.toggle("spin", false, () => this.viewer.spin(turning() ? "y" : false, 0.6));
    if (turning()) this.viewer.spin("y", 0.6);
  }
  ramp(colours, low, high) {
    const legend = element("span", "legend"), bar = element("i");
    bar.style.background = "linear-gradient(90deg, " + colours.map(visible).join(", ") + ")";
    legend.append(low, bar, high);
    this.controls.append(legend);
    return legend;
  }
  swatches(pairs) {
    const legend = element("span", "legend");
    for (const [name, colour] of pairs) {
      const patch = element("s");
      patch.style.background = visible(colour);
      legend.append(patch, name);
    }
    this.controls.append(legend);
    return legend;
  }
}

kinds.missing = (panel, record) => panel.say(record.reason);
kinds.picture = (panel, record) => {
  const picture = element("img", "picture");
  picture.src = record.source;
  picture.alt = record.name;
  panel.stage.append(picture);
};

function entry(record, pictured) {
  const button = element("button");
  if (pictured) button.append(element("span"));
  button.append(element("b", "", record.name), element("small", "", record.caption));
  return button;
}

function list(main) {
  const panel = new Panel(), nav = element("nav"), gallery = element("div", "gallery"), all = document.getElementById("all");
  let current = 0;
  function choose(index) {
    current = index;
    all.textContent = "all at once";
    gallery.hidden = true;
    panel.box.hidden = false;
    [...nav.children].forEach((button, i) => button.setAttribute("aria-current", i === index));
    panel.show(records[index]);
    if (records.length === 1) panel.detail.prepend(element("b", "", records[0].name), records[0].caption, element("br"));
  }
  records.forEach((record, index) => {
    const button = entry(record, false);
    button.onclick = () => choose(index);
    nav.append(button);
  });
  nav.setAttribute("aria-label", "records");
  nav.hidden = records.length === 1;
  panel.box.append(panel.stage, panel.facts, panel.controls);
  gallery.hidden = true;
  main.append(nav, gallery, panel.box);
  // Thumbnails are drawn one after the other by one hidden 3D view: browsers allow few of them.
  let photographer = null, round = 0;
  function photograph() {
    if (!photographer) {
      photographer = new Panel();
      photographer.stage.style.cssText = "position:fixed;left:-2000px;top:0;width:400px;height:300px";
      main.append(photographer.stage);
    }
    const places = records.map((record, index) => {
      const button = entry(record, true);
      button.onclick = () => choose(index);
      return button;
    });
    gallery.replaceChildren(...places);
    const mine = ++round;
    function next(i) {
      if (i === records.length || mine !== round || gallery.hidden) return;
      const picture = element("img");
      picture.alt = records[i].name;
      photographer.show(records[i]);
      picture.src = photographer.viewer ? photographer.viewer.pngURI() : records[i].source || "";
      places[i].firstChild.replaceWith(picture);
      setTimeout(next, 0, i + 1);
    }
    next(0);
  }
  all.hidden = records.length === 1;
  all.onclick = () => {
    if (!gallery.hidden) return choose(current);
    all.textContent = "one at a time";
    gallery.hidden = false;
    panel.box.hidden = true;
    photograph();
  };
  addEventListener("keydown", event => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by && panel.step && event.target.type !== "range") panel.step(by);
  });
  if (location.hash === "#all" && records.length > 1) all.onclick(); else choose(0);
  return () => (gallery.hidden ? choose(current) : photograph());
}

// Cards, one for each `group` of records, in the order of their first records.
function grid(main) {
  const panels = [...new Set(records.map(record => record.group))].map(group => {
    const mine = records.filter(record => record.group === group);
    const panel = new Panel(), head = element("div", "head"), tabs = element("div", "tabs");
    const choose = index => {
      [...tabs.children].forEach((button, i) => button.setAttribute("aria-current", i === index));
      panel.show(mine[index]);
    };
    mine.forEach((record, index) => {
      const button = element("button", "", record.name);
      button.onclick = () => choose(index);
      tabs.append(button);
    });
    head.append(element("h2", "", group), ...(mine.length > 1 ? [tabs] : []));
    panel.box.append(head, panel.note, panel.stage, panel.controls);
    main.append(panel.box);
    choose(0);
    return panel;
  });
  return () => panels.forEach(panel => panel.show(panel.record));
}

function start() {
  const main = document.getElementById("main");
  const redraw = document.body.className === "grid" ? grid(main) : list(main);
  dusk.addEventListener("change", redraw);
}
