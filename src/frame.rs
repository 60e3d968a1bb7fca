//! Frames as JavaScript has them, and their pixels.
//!
//! [`Frame::read`] tells what a value is and how large, and runs whatever code the caller has put into it;
//! [`Pixels::take`] copies the pixels and runs none. So a network is borrowed only for the second.

use js_sys::{ArrayBuffer, Reflect, Uint8Array};
use mobilenet::image::{self, ImageOptions, Window, check_size};
use mobilenet_js::options::whole;
use mobilenet_js::{Error, ErrorCode, Result, describe, reason, tag};
use std::cell::Cell;
use wasm_bindgen::prelude::*;
use web_sys::{
    CanvasRenderingContext2d, ContextAttributes2d, HtmlCanvasElement, HtmlImageElement, HtmlVideoElement,
    ImageBitmap, OffscreenCanvas, VideoFrame,
};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = "
/** Bytes of an image: RGBA, rows from the top, the alpha ignored. An `ImageData` is one. */
export interface Pixels {
    readonly data: Uint8ClampedArray | Uint8Array;
    readonly width: number;
    readonly height: number;
}

/** What the network looks at. It stays the caller's: nothing here closes or changes it. */
export type Frame =
    | HTMLCanvasElement
    | OffscreenCanvas
    | HTMLVideoElement
    | HTMLImageElement
    | ImageBitmap
    | VideoFrame
    | ImageData
    | Pixels;
";

#[wasm_bindgen]
extern "C" {
    /// A value of the caller's. Its getters may be the caller's code, so each may throw; web-sys would not expect it.
    type Given;
    #[wasm_bindgen(catch, method, getter)]
    fn width(this: &Given) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, method, getter)]
    fn height(this: &Given) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, method, getter, js_name = videoWidth)]
    fn video_width(this: &Given) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, method, getter, js_name = videoHeight)]
    fn video_height(this: &Given) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, method, getter, js_name = readyState)]
    fn ready_state(this: &Given) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, method, getter, js_name = naturalWidth)]
    fn natural_width(this: &Given) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, method, getter, js_name = naturalHeight)]
    fn natural_height(this: &Given) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, method, getter, js_name = displayWidth)]
    fn display_width(this: &Given) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, method, getter, js_name = displayHeight)]
    fn display_height(this: &Given) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, method, getter)]
    fn data(this: &Given) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, method, getter)]
    fn buffer(this: &Given) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, method, getter, js_name = byteOffset)]
    fn byte_offset(this: &Given) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, method, getter, js_name = byteLength)]
    fn byte_length(this: &Given) -> Result<JsValue, JsValue>;

    /// `new Uint8Array(…)`, which throws where the buffer is no buffer or is gone.
    #[wasm_bindgen(js_name = Uint8Array)]
    type View;
    #[wasm_bindgen(catch, constructor, js_class = "Uint8Array")]
    fn new(buffer: &JsValue, offset: JsValue, length: JsValue) -> Result<View, JsValue>;
}

/// The bytes of a typed array or `DataView`, or of a whole buffer, without a copy; `None` if the buffer was transferred
/// to elsewhere. Of a number, as many zeros; `None` if there is no memory for them.
///
/// # Errors
/// What the caller's getters throw.
pub fn view(bytes: &JsValue) -> Result<Option<Uint8Array>, JsValue> {
    let view = if ArrayBuffer::is_view(bytes) {
        let given: &Given = bytes.unchecked_ref();
        View::new(&given.buffer()?, given.byte_offset()?, given.byte_length()?)
    } else {
        View::new(bytes, JsValue::UNDEFINED, JsValue::UNDEFINED)
    };
    Ok(view.ok().map(JsCast::unchecked_into))
}

fn refuse<T>(message: impl AsRef<str>) -> Result<T> {
    Err(Error::new(ErrorCode::InvalidFrame, ["frame: ", message.as_ref()].concat()))
}

fn is_security_error(thrown: &JsValue) -> bool {
    Reflect::get(thrown, &"name".into()).is_ok_and(|name| name == "SecurityError")
}

fn tainted() -> Error {
    Error::new(
        ErrorCode::TaintedCanvas,
        "frame: it comes from another origin, so the page may not read it (a tainted canvas); set crossOrigin = \
         \"anonymous\" on the image or video, and let its server send Access-Control-Allow-Origin",
    )
}

/// Where the pixels of a frame are.
enum Source {
    Canvas(HtmlCanvasElement),
    OffscreenCanvas(OffscreenCanvas),
    Video(HtmlVideoElement),
    Image(HtmlImageElement),
    Bitmap(ImageBitmap),
    VideoFrame(VideoFrame),
    /// RGBA, in the caller's memory.
    Bytes(Uint8Array),
}

/// A frame of the caller's, and its size.
pub struct Frame {
    source: Source,
    width: usize,
    height: usize,
}

impl Frame {
    /// Tells what kind of frame `value` is and how large.
    ///
    /// # Errors
    /// If it is no frame, has no image yet or any more; or what the caller's getters throw.
    pub fn read(value: &JsValue) -> Result<Self> {
        Self::inspect(value).map_err(|error| match error {
            // A page cannot post such a frame to its worker; the stand-in there (pkg/src/frame.ts) throws as a canvas does.
            Error::Thrown(thrown) if is_security_error(&thrown) => tainted(),
            other => other,
        })
    }

    fn inspect(value: &JsValue) -> Result<Self> {
        let given: &Given = value.unchecked_ref();
        let value = value.clone();
        let (source, width, height, empty) = match tag(&value).as_str() {
            "HTMLCanvasElement" => {
                (Source::Canvas(value.unchecked_into()), given.width()?, given.height()?, "")
            }
            "OffscreenCanvas" => {
                (Source::OffscreenCanvas(value.unchecked_into()), given.width()?, given.height()?, "")
            }
            "HTMLVideoElement" => {
                // Its size is known before its first image is there.
                let ready = given.ready_state()?.as_f64().unwrap_or_default() >= 2.0;
                let width = if ready { given.video_width()? } else { JsValue::UNDEFINED };
                let hint = "the video has no image yet; wait for its `loadeddata` event";
                (Source::Video(value.unchecked_into()), width, given.video_height()?, hint)
            }
            "HTMLImageElement" => {
                let hint = "the image has not loaded, or is broken; wait for `await image.decode()`";
                let (width, height) = (given.natural_width()?, given.natural_height()?);
                (Source::Image(value.unchecked_into()), width, height, hint)
            }
            "ImageBitmap" => {
                let hint = "the ImageBitmap was closed; classify it before `close()`";
                (Source::Bitmap(value.unchecked_into()), given.width()?, given.height()?, hint)
            }
            "VideoFrame" => {
                let hint = "the VideoFrame was closed; classify it before `close()`";
                let (width, height) = (given.display_width()?, given.display_height()?);
                (Source::VideoFrame(value.unchecked_into()), width, height, hint)
            }
            _ => return Self::read_bytes(&value),
        };
        let side = |value: JsValue| whole(&value).unwrap_or_default();
        let (width, height) = (side(width), side(height));
        if !empty.is_empty() && (width == 0 || height == 0) {
            return refuse(empty);
        }
        check_size(width, height)?;
        Ok(Self { source, width, height })
    }

    /// `ImageData`, or any other `{ data, width, height }`.
    fn read_bytes(value: &JsValue) -> Result<Self> {
        let given: &Given = value.unchecked_ref();
        let data = if value.is_object() { given.data()? } else { JsValue::UNDEFINED };
        if data.is_undefined() {
            return refuse(format!(
                "must be a canvas, video, image, ImageBitmap, VideoFrame, ImageData or {{ data, width, height }}, \
                 got {}",
                describe(value)
            ));
        }
        if !matches!(tag(&data).as_str(), "Uint8ClampedArray" | "Uint8Array") {
            let got = describe(&data);
            return refuse(format!("data: must be a Uint8ClampedArray or Uint8Array of RGBA, got {got}"));
        }
        let side = |name: &str, value: JsValue| match whole(&value) {
            Some(side) => Ok(side),
            None => refuse(format!("{name}: must be a whole number of pixels, got {}", describe(&value))),
        };
        let (width, height) = (side("width", given.width()?)?, side("height", given.height()?)?);
        let Some(bytes) = view(&data)? else {
            return refuse("data: must have bytes, got a buffer that was transferred; give a copy of it");
        };
        Ok(Self { source: Source::Bytes(bytes), width, height })
    }
}

/// Pixels of a frame in the wasm memory. The memory is kept from one frame to the next.
#[derive(Default)]
pub struct Pixels {
    bytes: Vec<u8>,
    width: usize,
    height: usize,
}

/// Bytes of a frame that are kept for the next one: 4096 × 4096 pixels.
const KEPT_BYTES: usize = 64 << 20;

impl Pixels {
    /// Copies the pixels of `frame` as far as `options` show them. Returns the size of the whole frame (width, height)
    /// if the pixels are a part of it.
    ///
    /// # Errors
    /// If the browser cannot draw the frame or the page may not read it.
    pub fn take(&mut self, frame: &Frame, options: &ImageOptions) -> Result<Option<(usize, usize)>> {
        let Frame { source, width, height } = frame;
        if let Source::Bytes(bytes) = source {
            (self.width, self.height) = (*width, *height);
            self.copy(bytes)?;
            return Ok(None);
        }
        // Everything else has to be drawn before its pixels can be read: the window alone, at its own size.
        let seen = Window::new(*width, *height, options)?.pixels(*width, *height);
        (self.width, self.height) = (seen.width, seen.height);
        self.copy(&draw(frame, seen)?)?;
        Ok(Some((*width, *height)))
    }

    /// Frees the bytes of a huge frame, which another network may need; those of ordinary frames are kept for the next.
    pub fn let_go(&mut self) {
        if self.bytes.len() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
    }

    /// The pixels as the library takes them.
    ///
    /// # Errors
    /// If there are none.
    pub fn frame(&self) -> Result<image::Frame<'_>> {
        Ok(image::Frame::new(&self.bytes, self.width, self.height)?)
    }

    fn copy(&mut self, data: &Uint8Array) -> Result<()> {
        let length = data.length() as usize;
        if self.bytes.len() != length {
            self.bytes.clear();
            if self.bytes.try_reserve_exact(length).is_err() {
                let message = format!("frame: no memory is left for its {length} bytes; use a smaller one");
                return Err(Error::new(ErrorCode::OutOfMemory, message));
            }
            self.bytes.resize(length, 0);
        }
        data.copy_to(&mut self.bytes);
        Ok(())
    }
}

/// A canvas that frames are drawn on.
struct Surface {
    canvas: HtmlCanvasElement,
    context: CanvasRenderingContext2d,
    size: (usize, usize),
}

impl Surface {
    /// A canvas element, or an `OffscreenCanvas` in a worker. The element is read back faster.
    fn new() -> Result<Self> {
        let document = web_sys::window().and_then(|window| window.document());
        let canvas = match document.map(|document| document.create_element("canvas")) {
            Some(element) => element.map_or(JsValue::UNDEFINED, Into::into),
            None => OffscreenCanvas::new(1, 1).map_or(JsValue::UNDEFINED, Into::into),
        };
        if canvas.is_undefined() {
            return refuse("there is no canvas here to draw it on; give { data, width, height }");
        }
        // What is used of an `OffscreenCanvas` and its context has the same names as the element's.
        let canvas: HtmlCanvasElement = canvas.unchecked_into();
        let attributes = ContextAttributes2d::new();
        // Pixels stay where they can be read.
        attributes.set_will_read_frequently(true);
        // Bytes without transparency are read back in two thirds of the time; what is transparent lies on black.
        attributes.set_alpha(false);
        match canvas.get_context_with_context_options("2d", &attributes) {
            Ok(Some(context)) => Ok(Self { canvas, context: context.unchecked_into(), size: (0, 0) }),
            _ => refuse("the browser has no canvas left to draw it on; remove some from the page"),
        }
    }

    /// The pixels of a part of a frame, drawn at its own size: never scaled by the browser.
    fn draw(&mut self, frame: &Frame, part: image::Pixels) -> Result<Uint8Array> {
        let image::Pixels { x, y, width, height } = part;
        if self.size != (width, height) {
            self.canvas.set_width(width as u32);
            self.canvas.set_height(height as u32);
            self.size = (width, height);
        }
        let (columns, rows) = (width as f64, height as f64);
        // A frame replaces the one before, its transparent parts too. The composite operation `copy` does the same and
        // takes a fifth longer.
        self.context.clear_rect(0.0, 0.0, columns, rows);
        // The whole frame, shifted, and cut off by the canvas: naming the part takes a tenth longer, and means its
        // pixels in the file, of which an image may have others than it tells.
        let (left, top) = (-(x as f64), -(y as f64));
        let (wide, high) = (frame.width as f64, frame.height as f64);
        let context = &self.context;
        let drawn = match &frame.source {
            Source::Canvas(canvas) => {
                context.draw_image_with_html_canvas_element_and_dw_and_dh(canvas, left, top, wide, high)
            }
            Source::OffscreenCanvas(canvas) => {
                context.draw_image_with_offscreen_canvas_and_dw_and_dh(canvas, left, top, wide, high)
            }
            Source::Video(video) => {
                context.draw_image_with_html_video_element_and_dw_and_dh(video, left, top, wide, high)
            }
            Source::Image(image) => {
                context.draw_image_with_html_image_element_and_dw_and_dh(image, left, top, wide, high)
            }
            Source::Bitmap(bitmap) => {
                context.draw_image_with_image_bitmap_and_dw_and_dh(bitmap, left, top, wide, high)
            }
            Source::VideoFrame(frame) => {
                context.draw_image_with_video_frame_and_dw_and_dh(frame, left, top, wide, high)
            }
            Source::Bytes(_) => Ok(()),
        };
        if let Err(thrown) = drawn {
            return refuse(format!("the browser could not draw it: {}", reason(&thrown)));
        }
        match context.get_image_data(0.0, 0.0, columns, rows) {
            // Not web-sys's `data()`, which would allocate a copy.
            Ok(image) => Ok(Reflect::get(&image, &"data".into())?.unchecked_into()),
            Err(thrown) if is_security_error(&thrown) => Err(tainted()),
            Err(thrown) => refuse(format!("the browser gave no pixels: {}", reason(&thrown))),
        }
    }
}

fn draw(frame: &Frame, part: image::Pixels) -> Result<Uint8Array> {
    thread_local! {
        /// One canvas is kept for all networks.
        static SURFACE: Cell<Option<Surface>> = const { Cell::new(None) };
    }
    let mut surface = match SURFACE.take() {
        Some(surface) => surface,
        None => Surface::new()?,
    };
    let pixels = surface.draw(frame, part)?;
    // Not after an error: one image of another origin taints a canvas for good.
    SURFACE.set(Some(surface));
    Ok(pixels)
}
