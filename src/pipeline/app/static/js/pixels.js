// Decodes a photo into the square that the recogniser sees, as inference/decoding.py does with Pillow.

const NEUTRAL = 128; // the ground behind transparency and beside padded pictures

/** Returns upright sRGB pixels, Uint8ClampedArray (size, size, 4). */
export async function square(file, size, fit) {
  const bitmap = await createImageBitmap(file); // upright, in sRGB
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = `rgb(${NEUTRAL} ${NEUTRAL} ${NEUTRAL})`;
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const head = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  const isJpeg = head[0] === 0xff && head[1] === 0xd8;
  return fitted(reduced(context.getImageData(0, 0, width, height), size, fit, isJpeg), size, fit);
}

/** Averages blocks of pixels: what libjpeg's scaled decoding and Pillow's `reducing_gap` come to. */
function reduced(image, size, fit, isJpeg) {
  const { data, width, height } = image;
  let by = [1, 1];
  if (isJpeg) {
    const scale = Math.min(Math.floor(width / (2 * size)), Math.floor(height / (2 * size)));
    const step = [8, 4, 2, 1].find((one) => scale >= one) ?? 1;
    by = [step, step];
  } else {
    const [w, h] = sides(width, height, fit);
    const [tw, th] = target(width, height, size, fit);
    by = [Math.floor(w / tw / 2) || 1, Math.floor(h / th / 2) || 1];
  }
  const [bx, by_] = by;
  if (bx === 1 && by_ === 1) return { data, width, height };
  const [w, h] = [Math.ceil(width / bx), Math.ceil(height / by_)];
  const out = new Uint8ClampedArray(w * h * 4);
  for (let y = 0; y < h; y += 1) {
    const rows = Math.min(by_, height - y * by_);
    for (let x = 0; x < w; x += 1) {
      const columns = Math.min(bx, width - x * bx);
      for (let c = 0; c < 3; c += 1) {
        let sum = 0;
        for (let j = 0; j < rows; j += 1) {
          let at = ((y * by_ + j) * width + x * bx) * 4 + c;
          for (let i = 0; i < columns; i += 1, at += 4) sum += data[at];
        }
        out[(y * w + x) * 4 + c] = Math.round(sum / (rows * columns));
      }
    }
  }
  return { data: out, width: w, height: h };
}

const sides = (width, height, fit) => (fit === "crop" ? [Math.min(width, height), Math.min(width, height)] : [width, height]);

function target(width, height, size, fit) {
  if (fit !== "pad") return [size, size];
  const scale = size / Math.max(width, height);
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}

function fitted({ data, width, height }, size, fit) {
  const [w, h] = sides(width, height, fit);
  const [tw, th] = target(width, height, size, fit);
  const across = weights((width - w) / 2, w, tw, width);
  const down = weights((height - h) / 2, h, th, height);
  const narrow = new Uint8ClampedArray(tw * height * 4); // Pillow rounds between the two passes too
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < tw; x += 1) {
      const { from, kernel } = across[x];
      for (let c = 0; c < 3; c += 1) {
        let sum = 0;
        for (let k = 0; k < kernel.length; k += 1) sum += kernel[k] * data[(y * width + from + k) * 4 + c];
        narrow[(y * tw + x) * 4 + c] = Math.floor(sum + 0.5);
      }
    }
  }
  const out = new Uint8ClampedArray(size * size * 4).fill(NEUTRAL);
  const [left, top] = [Math.floor((size - tw) / 2), Math.floor((size - th) / 2)];
  for (let y = 0; y < th; y += 1) {
    const { from, kernel } = down[y];
    for (let x = 0; x < tw; x += 1) {
      const at = ((y + top) * size + x + left) * 4;
      for (let c = 0; c < 3; c += 1) {
        let sum = 0;
        for (let k = 0; k < kernel.length; k += 1) sum += kernel[k] * narrow[((from + k) * tw + x) * 4 + c];
        out[at + c] = Math.floor(sum + 0.5);
      }
      out[at + 3] = 255;
    }
  }
  for (let at = 3; at < out.length; at += 4) out[at] = 255;
  return out;
}

/** Pillow's antialiased bicubic filter (Resample.c): for each pixel out, which pixels in, how much. */
function weights(start, length, count, most) {
  const scale = length / count;
  const spread = Math.max(scale, 1);
  const support = 2 * spread;
  return Array.from({ length: count }, (_, i) => {
    const centre = start + (i + 0.5) * scale;
    const from = Math.max(0, Math.trunc(centre - support + 0.5));
    const to = Math.min(most, Math.trunc(centre + support + 0.5));
    const kernel = Float64Array.from({ length: to - from }, (__, k) => bicubic((k + from - centre + 0.5) / spread));
    const sum = kernel.reduce((a, b) => a + b, 0);
    return { from, kernel: kernel.map((weight) => weight / sum) };
  });
}

function bicubic(distance) {
  const a = -0.5;
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}
