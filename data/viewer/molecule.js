// Conformers of a molecule: one strongly, the others pale behind it. blocks: mol blocks; colours: by element.
kinds.molecule = (panel, record) => {
  const MOST = 60;                       // conformers drawn at once: more only hide each other
  const viewer = panel.scene();
  if (!viewer) return;
  const scheme = atom => visible(record.colours[atom.elem] || "#a0a0a0");
  const models = record.blocks.map(block => viewer.addModel(block, "sdf", { keepH: true }));
  const pale = { stick: { radius: 0.055, colorfunc: scheme, opacity: 0.55 } };
  const strong = { stick: { radius: 0.13, colorfunc: scheme }, sphere: { scale: 0.2, colorfunc: scheme } };
  function draw() {
    const one = which() - 1;
    models.forEach((model, i) => {
      const shown = i === one || (overlaid() && i < MOST);
      model.setStyle({}, shown ? (i === one ? strong : pale) : {});
      if (shown && !hydrogens()) model.setStyle({ elem: "H" }, {});
    });
    viewer.render();
  }
  const which = panel.slider("conformer", models.length, 1, k => `${k} of ${models.length}`, draw);
  const overlaid = models.length > 1 ? panel.toggle("overlay all", true, draw) : () => false;
  const hydrogens = panel.toggle("hydrogens", true, draw);
  panel.spin();
  draw();
  viewer.zoomTo();
  viewer.zoom(1.2);
  viewer.render();
};
