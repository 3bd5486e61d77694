// Crystals that can be turned: balls and lines on a canvas, the far ones first.
(() => {
  'use strict';

  class Crystal {
    constructor(canvas, scene) {
      this.canvas = canvas;
      this.scene = scene;
      this.turned = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
      this.zoom = 1;
      const points = [...scene.atoms, ...scene.cell.flat()];
      this.extent = 1.2 + Math.max(...points.map(([x, y, z]) => Math.hypot(x, y, z)));
      canvas.addEventListener('pointerdown', (event) => { canvas.setPointerCapture(event.pointerId); this.last = event; });
      canvas.addEventListener('pointerup', () => { this.last = null; });
      canvas.addEventListener('pointercancel', () => { this.last = null; });
      canvas.addEventListener('pointermove', (event) => this.drag(event));
      canvas.addEventListener('wheel', (event) => { event.preventDefault(); this.scale(Math.exp(-event.deltaY / 600)); }, { passive: false });
      canvas.addEventListener('keydown', (event) => this.press(event));
      new ResizeObserver(() => this.draw()).observe(canvas);
    }

    drag(event) {
      if (!this.last) return;
      this.turn((event.clientX - this.last.clientX) / 120, (event.clientY - this.last.clientY) / 120);
      this.last = event;
    }

    press(event) {
      const turns = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] };
      if (turns[event.key]) this.turn(...turns[event.key]);
      else if (event.key === '+' || event.key === '=') this.scale(1.15);
      else if (event.key === '-') this.scale(1 / 1.15);
      else return;
      event.preventDefault();
    }

    scale(factor) {
      this.zoom = Math.min(6, Math.max(0.4, this.zoom * factor));
      this.draw();
    }

    turn(aboutY, aboutX) {
      const [c, s, d, t] = [Math.cos(aboutY), Math.sin(aboutY), Math.cos(aboutX), Math.sin(aboutX)];
      // The screen's y points down, that of the crystal up.
      this.turned = this.turned.map(([x, y, z]) => {
        const [u, w] = [c * x + s * z, c * z - s * x];
        return [u, d * y - t * w, d * w + t * y];
      });
      this.draw();
    }

    place([x, y, z]) {
      const [a, b, c] = this.turned;
      return [x * a[0] + y * b[0] + z * c[0], x * a[1] + y * b[1] + z * c[1], x * a[2] + y * b[2] + z * c[2]];
    }

    draw() {
      const { canvas, scene } = this;
      const size = canvas.clientWidth;
      if (!size) return;
      const ratio = window.devicePixelRatio || 1;
      if (canvas.width !== Math.round(size * ratio)) canvas.width = canvas.height = Math.round(size * ratio);
      const pen = canvas.getContext('2d');
      const unit = (this.zoom * size) / (2 * this.extent);
      const toScreen = (point) => [size / 2 + unit * point[0], size / 2 - unit * point[1]];
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.clearRect(0, 0, size, size);
      const atoms = scene.atoms.map((atom) => ({ at: this.place(atom), kind: scene.kinds[atom[3]] }));
      const items = atoms.map((atom) => ({ depth: atom.at[2], paint: () => this.ball(pen, toScreen(atom.at), unit * atom.kind.radius, atom.kind.colour) }));
      for (const [i, j] of scene.bonds) {
        const ends = [atoms[i].at, atoms[j].at];
        items.push({ depth: (ends[0][2] + ends[1][2]) / 2, paint: () => this.line(pen, ends.map(toScreen), Math.max(1.5, 0.14 * unit), '#8a929c') });
      }
      for (const edge of scene.cell) {
        const ends = edge.map((point) => this.place(point));
        items.push({ depth: (ends[0][2] + ends[1][2]) / 2, paint: () => this.line(pen, ends.map(toScreen), 1, '#005a9c') });
      }
      items.sort((one, other) => one.depth - other.depth).forEach((item) => item.paint());
    }

    line(pen, [[x, y], [u, v]], width, colour) {
      pen.lineWidth = width;
      pen.strokeStyle = colour;
      pen.beginPath();
      pen.moveTo(x, y);
      pen.lineTo(u, v);
      pen.stroke();
    }

    ball(pen, [x, y], radius, colour) {
      const light = pen.createRadialGradient(x - radius / 3, y - radius / 3, radius / 8, x, y, radius);
      light.addColorStop(0, '#fff');
      light.addColorStop(0.35, colour);
      light.addColorStop(1, colour);
      pen.fillStyle = light;
      pen.strokeStyle = '#333';
      pen.lineWidth = 0.8;
      pen.beginPath();
      pen.arc(x, y, radius, 0, 2 * Math.PI);
      pen.fill();
      pen.stroke();
    }
  }

  for (const button of document.querySelectorAll('button[data-scene]')) {
    const [image, canvas] = button.parentElement.querySelectorAll('.crystal > *');
    let crystal = null;
    button.hidden = false;
    button.addEventListener('click', () => {
      const on = canvas.hidden;
      canvas.hidden = !on;
      image.hidden = on;
      button.setAttribute('aria-pressed', String(on));
      button.textContent = on ? 'Back to the picture' : 'Turn it in 3D';
      crystal = crystal || new Crystal(canvas, scenes[Number(button.dataset.scene)]);
      crystal.draw();
    });
  }
})();
