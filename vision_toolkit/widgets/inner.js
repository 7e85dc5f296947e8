// Another widget in the place of this one, in every notebook alike: its module comes from the kernel as text, and what the
// two halves of it say goes through this widget's connection. It lives on when it is not shown, so that what was done in
// it is sent until it is kept.

class Inner {
  constructor(doc, name, { setup, esm, css }) {
    this.css = css;
    this.hearing = new Set();
    const own = { ...setup, done: () => doc.shut() };
    this.model = {
      get: (key) => (key === "_setup" ? own : undefined),
      on: (_kind, hear) => this.hearing.add(hear),
      off: (_kind, hear) => this.hearing.delete(hear),
      send: (content, _callbacks, buffers) => doc.model.send({ v: PROTOCOL, type: "inner", tool: name, content }, undefined, buffers),
    };
    const address = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
    this.opened = import(address).then((module) => {
      this.widget = module.default;
      this.close = this.widget.initialize({ model: this.model });
    }).finally(() => URL.revokeObjectURL(address));
  }

  hear(content, buffers) {
    for (const hear of [...this.hearing]) hear(content, buffers);
  }

  /** Go to an image. */
  go(item) {
    this.widget.docOf(this.model).jump(item);
  }

  /** Show it; return what takes it away. */
  show(el) {
    make("style", { parent: el, text: this.css });
    const close = this.widget.render({ model: this.model, el });
    el.querySelector(".vt-widget").focus({ preventScroll: true });
    return () => {
      close();
      el.replaceChildren();
    };
  }
}

