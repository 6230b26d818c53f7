// A protein backbone as a cartoon. coords: N, CA, C, O of each residue, hundredths of an angstrom; structure: H, E or -
// of each residue, or null where it is for 3Dmol to find; ramp: colours from N to C; kinds: colours of H, E and -.
kinds.backbone = (panel, record) => {
  const viewer = panel.scene();
  if (!viewer) return;
  const names = ["N", "CA", "C", "O"], n = record.coords.length / 12, pad = (text, wide) => String(text).padStart(wide);
  let chain = 0, lines = [];
  const letter = () => String.fromCharCode(65 + (chain % 26));
  for (let i = 0; i < n; i++) {
    if (i && record.cuts.includes(i)) chain++;          // a chain of its own: no ribbon across a gap
    names.forEach((name, k) => {
      const xyz = [0, 1, 2].map(axis => pad((record.coords[12 * i + 3 * k + axis] / 100).toFixed(3), 8)).join("");
      lines.push("ATOM  " + pad(4 * i + k + 1, 5) + "  " + name.padEnd(3) + " GLY " + letter() + pad(i + 1, 4) + "    " + xyz
        + "  1.00  0.00          " + pad(name[0], 2));
    });
  }
  const model = viewer.addModel(lines.join("\n"), "pdb");
  if (record.structure)
    for (const atom of model.selectedAtoms({})) {
      const i = atom.resi - 1, kind = record.structure[i];
      atom.ss = { H: "h", E: "s" }[kind] || "c";
      atom.ssbegin = record.structure[i - 1] !== kind;
      atom.ssend = record.structure[i + 1] !== kind;
    }
  // Noted before drawing: 3Dmol renames the ends of strands while it draws them.
  const sort = Object.fromEntries(model.selectedAtoms({}).map(atom => [atom.resi, { h: "H", s: "E" }[atom.ss] || "-"]));
  function draw() {
    const colour = atom => visible(bySort() ? record.kinds[sort[atom.resi]]
      : along(record.ramp, (atom.resi - 1) / Math.max(1, n - 1)));
    const style = { cartoon: { colorfunc: colour, arrows: true, thickness: 0.5 } };
    if (atoms()) style.stick = { radius: 0.11, colorfunc: colour };
    viewer.setStyle({}, style);
    ramp.hidden = bySort();
    swatches.hidden = !bySort();
    viewer.render();
  }
  const ramp = panel.ramp(record.ramp, "N", "C");
  const swatches = panel.swatches([["helix", record.kinds.H], ["strand", record.kinds.E], ["coil", record.kinds["-"]]]);
  const bySort = panel.toggle("by secondary structure", false, draw);
  const atoms = panel.toggle("atoms", false, draw);
  panel.spin();
  draw();
  viewer.zoomTo();
  viewer.zoom(0.95);
  viewer.render();
};
