// The camera: goes in a <video>, comes out its frames, and a plain sentence for everything that can go wrong.
// Next: main.js listens for "ended", "silent", "heard" and "devices".

/** A camera shown in one <video> element. Asks for permission only when `start` is called. */
export class Camera extends EventTarget {
  #video;
  #stream = null;
  #attempt = 0;

  constructor(video) {
    super();
    this.#video = video;
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.#emit("devices"));
  }

  get running() {
    return this.#stream !== null;
  }

  /** The id of the camera in use, or "" where the browser does not tell. */
  get deviceId() {
    return this.#settings().deviceId ?? "";
  }

  /** Whether the camera looks away from its user, as the back camera of a phone does. */
  get looksAway() {
    return this.#settings().facingMode === "environment";
  }

  /**
   * Opens a camera: the one named, else the one at the back, else any.
   * Resolves once frames flow; rejects with an Error whose message is a sentence for the user.
   * A later `start` or `stop` overtakes this one: then it resolves to false.
   */
  async start(deviceId = "") {
    const attempt = ++this.#attempt;
    if (!window.isSecureContext) {
      throw new Error(
        "The browser gives the camera only to a secure page: open this one over https:// or on localhost.",
      );
    }
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("This browser does not offer a camera to pages. Use a picture instead.");
    }
    let stream;
    try {
      stream = await this.#open(deviceId).catch((error) => {
        if (!this.#stream || attempt !== this.#attempt || !["NotReadableError", "AbortError"].includes(error.name))
          throw error;
        // Many phones open a second camera only when the first is closed.
        this.#letGo();
        return this.#open(deviceId);
      });
    } catch (error) {
      throw new Error(explain(error), { cause: error });
    }
    if (attempt !== this.#attempt) {
      release(stream);
      return false;
    }
    this.#letGo();
    this.#stream = stream;
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => {
      if (this.#stream !== stream) return;
      this.stop();
      this.#emit("ended");
    });
    track.addEventListener("mute", () => this.#stream === stream && this.#emit("silent"));
    track.addEventListener("unmute", () => this.#stream === stream && this.#emit("heard"));
    this.#video.srcObject = stream;
    try {
      await this.#video.play();
    } catch (error) {
      if (attempt !== this.#attempt) return false;
      this.stop();
      throw new Error(`The camera's picture could not be played: ${error.message}`, { cause: error });
    }
    return attempt === this.#attempt;
  }

  /** Lets the camera go; its light goes out. Does nothing where none runs. */
  stop() {
    this.#attempt++;
    this.#letGo();
  }

  /** The cameras there are: `{ id, name }[]`. Names are known only after permission was given. */
  async devices() {
    const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
    return all
      .filter((device) => device.kind === "videoinput" && device.deviceId)
      .map((device, index) => ({ id: device.deviceId, name: device.label || `Camera ${index + 1}` }));
  }

  async #open(deviceId) {
    const size = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 60 } };
    const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: { ideal: "environment" } };
    try {
      return await navigator.mediaDevices.getUserMedia({ video: { ...size, ...which }, audio: false });
    } catch (error) {
      // A wish that no camera can grant is no reason to have none.
      if (error.name !== "OverconstrainedError") throw error;
      return navigator.mediaDevices.getUserMedia({ video: true, audio: false });
    }
  }

  #settings() {
    return this.#stream?.getVideoTracks()[0]?.getSettings?.() ?? {};
  }

  #letGo() {
    if (!this.#stream) return;
    release(this.#stream);
    this.#stream = null;
    this.#video.srcObject = null;
  }

  #emit(type) {
    this.dispatchEvent(new Event(type));
  }
}

function release(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/** What `getUserMedia` threw, as a sentence that says what to do. */
export function explain(error) {
  switch (error?.name) {
    case "NotAllowedError":
    case "SecurityError":
      return "The camera was refused. Allow it for this page beside the browser’s address bar, then press Camera again; a picture works without it.";
    case "NotFoundError":
    case "DevicesNotFoundError":
      return "No camera was found. Connect one and press Camera again, or use a picture.";
    case "NotReadableError":
    case "AbortError":
      return "The camera is there but does not start: another program or tab may be using it. Close that, then press Camera again.";
    default:
      return `The camera does not start: ${error?.message || error?.name || "the browser gives no reason"}.`;
  }
}
