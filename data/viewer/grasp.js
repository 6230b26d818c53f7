// An object and grippers on it, best first. mesh: vertices and faces, or points; poses: 12 numbers each (the rows of a
// 3 x 4 matrix); cost: one a pose; outline: line segments of the gripper; hand: its mesh; all in metres, lengths as whole
// numbers of `unit`; tube: radius of the lines; ramp: colours from the lowest cost to the highest.
kinds.grasp = (panel, record) => {
  const viewer = panel.scene();
  if (!viewer) return;
  const unit = 100 * record.unit;                       // drawn in centimetres
  const rows = (numbers, scale) => Array.from({ length: numbers.length / 3 }, (_, i) => [0, 1, 2].map(k => scale * numbers[3 * i + k]));
  const minus = (a, b) => a.map((x, k) => x - b[k]), dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const scaled = (a, by) => a.map(x => x * by), norm = a => scaled(a, 1 / (Math.hypot(...a) || 1));
  const point = a => ({ x: a[0], y: a[1], z: a[2] });

  // Triangles with a normal at each corner: the mean of the faces that meet there at less than 40 degrees.
  function shaded(vertices, faces) {
    const flat = [], around = vertices.map(() => []);
    for (let f = 0; f < faces.length / 3; f++) {
      const [a, b, c] = [0, 1, 2].map(k => vertices[faces[3 * f + k]]), area = cross(minus(b, a), minus(c, a));
      flat.push([area, norm(area)]);
      for (let k = 0; k < 3; k++) around[faces[3 * f + k]].push(f);
    }
    const shape = { vertexArr: [], normalArr: [], faceArr: [] };
    faces.forEach((vertex, corner) => {
      const mine = flat[Math.floor(corner / 3)][1];
      const sum = [0, 0, 0];
      for (const f of around[vertex]) if (dot(flat[f][1], mine) > 0.77) flat[f][0].forEach((x, k) => { sum[k] += x; });
      shape.vertexArr.push(point(vertices[vertex]));
      shape.normalArr.push(point(norm(sum)));
      shape.faceArr.push(corner);
    });
    return shape;
  }
  // Balls of 32 faces.
  function balls(centres, radius) {
    const sides = [], triangles = [], known = {};
    const side = a => { const key = a.join(); if (!(key in known)) { known[key] = sides.length; sides.push(norm(a)); } return known[key]; };
    for (const x of [1, -1]) for (const y of [1, -1]) for (const z of [1, -1]) {
      const turn = x * y * z > 0 ? t => t : t => [t[0], t[2], t[1]];
      const corners = [[x, 0, 0], [0, y, 0], [0, 0, z], [x, y, 0], [0, y, z], [x, 0, z]].map(side);
      for (const t of [[0, 3, 5], [3, 1, 4], [5, 4, 2], [3, 4, 5]]) triangles.push(...turn(t).map(k => corners[k]));
    }
    const shape = { vertexArr: [], normalArr: [], faceArr: [] };
    centres.forEach((centre, i) => {
      for (const away of sides) {
        shape.vertexArr.push(point(centre.map((x, k) => x + radius * away[k])));
        shape.normalArr.push(point(away));
      }
      for (const t of triangles) shape.faceArr.push(t + sides.length * i);
    });
    return shape;
  }
  const place = (pose, p) => [0, 1, 2].map(r => pose[4 * r] * p[0] + pose[4 * r + 1] * p[1] + pose[4 * r + 2] * p[2] + 100 * pose[4 * r + 3]);
  const segments = rows(record.outline, unit);
  // The outline at a pose as tubes, all in one shape.
  function tubes(pose, radius) {
    const SIDES = 8, shape = { vertexArr: [], normalArr: [], faceArr: [] };
    for (let s = 0; s < segments.length; s += 2) {
      const ends = [place(pose, segments[s]), place(pose, segments[s + 1])], axis = norm(minus(ends[1], ends[0]));
      const right = norm(cross(axis, Math.abs(axis[0]) < 0.7 ? [1, 0, 0] : [0, 1, 0])), up = cross(axis, right);
      const first = shape.vertexArr.length;
      ends.forEach((end, e) => {
        const cap = end.map((x, k) => x + (e ? radius : -radius) * axis[k] * 0.8);
        for (let k = 0; k < SIDES; k++) {
          const turn = 2 * Math.PI * k / SIDES, away = right.map((x, j) => Math.cos(turn) * x + Math.sin(turn) * up[j]);
          shape.vertexArr.push(point(cap.map((x, j) => x + radius * away[j])));
          shape.normalArr.push(point(away));
        }
      });
      for (let k = 0; k < SIDES; k++) {
        const a = first + k, b = first + (k + 1) % SIDES;
        shape.faceArr.push(a, b, b + SIDES, a, b + SIDES, a + SIDES);
      }
      for (let k = 2; k < SIDES; k++) {
        shape.faceArr.push(first, first + k, first + k - 1);
        shape.faceArr.push(first + SIDES, first + SIDES + k - 1, first + SIDES + k);
      }
    }
    return shape;
  }
  const joined = shapes => {
    const all = { vertexArr: [], normalArr: [], faceArr: [], color: [] };
    for (const { shape, colour } of shapes) {
      const first = all.vertexArr.length, rgb = channels(colour), tint = { r: rgb[0] / 255, g: rgb[1] / 255, b: rgb[2] / 255 };
      for (const vertex of shape.vertexArr) { all.vertexArr.push(vertex); all.color.push(tint); }
      for (const normal of shape.normalArr) all.normalArr.push(normal);
      for (const index of shape.faceArr) all.faceArr.push(first + index);
    }
    return all;
  };
  const poses = Array.from({ length: record.poses.length / 12 }, (_, i) => record.poses.slice(12 * i, 12 * i + 12));
  const low = record.cost[0], high = record.high;
  const colour = i => visible(along(record.ramp, high > low ? (record.cost[i] - low) / (high - low) : 0));

  const body = rows(record.vertices, unit);
  const thing = record.faces.length ? shaded(body, record.faces) : balls(body, 100 * record.radius);
  viewer.addCustom({ ...thing, color: visible(record.colour) });
  let count = () => 0, single = () => false, shown = [];
  function draw() {
    for (const shape of shown) viewer.removeShape(shape);
    shown = [];
    const last = count() - 1, drawn = [];
    for (let i = single() ? last : 0; i <= last; i++) drawn.push({ shape: tubes(poses[i], 100 * record.tube), colour: colour(i) });
    if (drawn.length) shown.push(viewer.addCustom(joined(drawn)));
    if (single()) {
      const hand = rows(record.hand.vertices, unit).map(p => place(poses[last], p));
      shown.push(viewer.addCustom({ ...shaded(hand, record.hand.faces), color: colour(last), opacity: 0.6 }));
    }
    viewer.render();
  }
  const first = Math.min(poses.length, record.first);
  if (poses.length) {
    count = panel.slider("best", poses.length, first, k => `${k} of ${poses.length}, cost ${record.cost[k - 1].toPrecision(3)}`, draw);
    single = panel.toggle("only this one", false, draw);
    if (high > low) panel.ramp(record.ramp, "cost " + low.toPrecision(2), high.toPrecision(2));
  }
  panel.spin();
  draw();
  // z up, seen from the right and above; near enough that what is drawn first fills the stage.
  const seen = [...body];
  for (const pose of poses.slice(0, first)) for (const p of segments) seen.push(place(pose, p));
  const middle = [0, 1, 2].map(k => (seen.reduce((m, p) => Math.min(m, p[k]), 1e9) + seen.reduce((m, p) => Math.max(m, p[k]), -1e9)) / 2);
  const reach = seen.reduce((m, p) => Math.max(m, Math.hypot(...minus(p, middle))), 1e-6);
  const DISTANCE = 150, HALF_VIEW = Math.PI / 18;       // of 3Dmol's camera
  viewer.setView([...middle.map(x => -x), DISTANCE - reach / Math.tan(HALF_VIEW), 0, 0, 0, 1]);
  viewer.rotate(24, "x");
  viewer.rotate(-40, "y");
  viewer.rotate(-90, "x");
  viewer.render();
};
