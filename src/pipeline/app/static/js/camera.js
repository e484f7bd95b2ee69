// Takes photos with the device's camera.

import { dialog, h, icon } from "./dom.js";
import { t } from "./text.js";

/** Opens the camera. `taken` is called with each photo: { name, file }. */
export async function open(taken) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: 1920, height: 1080 } });
  } catch {
    dialog(t("camera.title"), h("p", {}, t("camera.none")));
    return;
  }
  const video = h("video", { autoplay: true, playsinline: true, muted: true, "aria-label": t("camera.view") });
  video.muted = true;
  video.srcObject = stream;
  const count = h("p", { class: "faint", role: "status" });
  let photos = 0;
  const shoot = async () => {
    const canvas = h("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    const file = await new Promise((ok) => canvas.toBlob(ok, "image/jpeg", 0.95));
    const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
    photos += 1;
    count.textContent = t("camera.taken", { n: photos });
    taken({ name: `camera-${stamp}-${photos}.jpg`, file });
  };
  const button = h("button", { class: "main", type: "button", onclick: shoot }, icon("camera"), t("take"));
  const shown = dialog(t("camera.title"), video, h("div", { class: "row" }, button, count));
  shown.classList.add("camera");
  shown.addEventListener("close", () => stream.getTracks().forEach((track) => track.stop()));
  button.focus();
}
