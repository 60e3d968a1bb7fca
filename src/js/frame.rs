//! Pixels out of whatever JavaScript calls a picture.
//!
//! Goes in: a canvas, video, image, bitmap, `VideoFrame`, `ImageData` or `{ data, width, height }`. Comes out: RGBA
//! bytes in the wasm memory, of the whole frame or of the window that the options show. Next: `image` resizes them.
//!
//! What must be drawn is drawn at its own size, never scaled by the browser, onto one canvas that is kept and read with
//! `willReadFrequently`; both it and the bytes are reused, so a stream of frames allocates nothing here. The caller's
//! frame is only looked at.

use super::value::{Outcome, as_count, describe, message, set, tag};
use crate::Error;
use crate::error::Decimal;
use crate::image::{Frame, Options, Pixels, Window, check_size};
use js_sys::{Object, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

#[wasm_bindgen]
extern "C" {
    /// The `data` of an `ImageData`, without a copy.
    type Bytes;
    #[wasm_bindgen(method, getter)]
    fn data(this: &Bytes) -> JsValue;
}

/// A picture that lies in the wasm memory.
pub struct Picture<'a> {
    /// The bytes: of the whole frame, or of its window alone.
    pub frame: Frame<'a>,
    /// Where the bytes are the window's alone: width and height of the whole frame.
    pub cut_from: Option<(usize, usize)>,
}

/// Takes pixels from frames; keeps the canvas and the bytes from one to the next.
#[derive(Default)]
pub struct Grabber {
    surface: Option<Surface>,
    bytes: Vec<u8>,
}

struct Surface {
    canvas: HtmlCanvasElement,
    context: CanvasRenderingContext2d,
    size: (usize, usize),
}

fn refuse<T>(sentence: impl Into<String>) -> Outcome<T> {
    Err(Error::Frame(sentence.into()).into())
}

/// How a kind of frame tells its size.
struct Kind {
    tag: &'static str,
    width: &'static str,
    height: &'static str,
    /// What to say where it has none.
    empty: &'static str,
}

const KINDS: [Kind; 6] = [
    Kind { tag: "HTMLCanvasElement", width: "width", height: "height", empty: "" },
    Kind { tag: "OffscreenCanvas", width: "width", height: "height", empty: "" },
    Kind {
        tag: "HTMLVideoElement",
        width: "videoWidth",
        height: "videoHeight",
        empty: "the video has no picture yet; wait for its `loadeddata` event",
    },
    Kind {
        tag: "HTMLImageElement",
        width: "naturalWidth",
        height: "naturalHeight",
        empty: "the image has not loaded, or is broken; wait for `await image.decode()`",
    },
    Kind {
        tag: "ImageBitmap",
        width: "width",
        height: "height",
        empty: "the ImageBitmap was closed; classify it before `close()`",
    },
    Kind {
        tag: "VideoFrame",
        width: "displayWidth",
        height: "displayHeight",
        empty: "the VideoFrame was closed; classify it before `close()`",
    },
];

impl Grabber {
    /// The pixels of `frame`, as far as `options` show them.
    pub fn grab(&mut self, frame: &JsValue, options: &Options) -> Outcome<Picture<'_>> {
        let tag = tag(frame);
        match KINDS.iter().find(|kind| kind.tag == tag) {
            Some(kind) => self.draw(frame, kind, options),
            None => self.copy(frame),
        }
    }

    /// An `ImageData` or anything like it: its bytes are there to be copied.
    fn copy(&mut self, frame: &JsValue) -> Outcome<Picture<'_>> {
        let field = |key: &str| if frame.is_object() { get(frame, key) } else { Ok(JsValue::UNDEFINED) };
        let data = field("data")?;
        if data.is_undefined() {
            return refuse(format!(
                "{} is no picture; give a canvas, video, image, ImageBitmap, VideoFrame, ImageData or \
                 {{ data, width, height }}",
                describe(frame)
            ));
        }
        if !matches!(self::tag(&data).as_str(), "Uint8ClampedArray" | "Uint8Array") {
            return refuse(format!(
                "data must be a Uint8ClampedArray or Uint8Array of RGBA, not {}",
                describe(&data)
            ));
        }
        let side = |key| {
            let value = field(key)?;
            match as_count(&value) {
                Some(count) => Ok(count),
                None => refuse(format!("{key} must be a whole number of pixels, not {}", shown(&value))),
            }
        };
        let (width, height) = (side("width")?, side("height")?);
        let data: Uint8Array = data.unchecked_into();
        // Before the bytes are fetched: a wrong size must not cost memory.
        let length = data.length() as usize;
        check_size(width, height)?;
        if width.checked_mul(height).and_then(|pixels| pixels.checked_mul(4)) != Some(length) {
            return refuse(format!(
                "{length} bytes were given for {width}×{height} pixels; RGBA takes width · height · 4 bytes"
            ));
        }
        self.fetch(&data)?;
        Ok(Picture { frame: Frame::new(&self.bytes, width, height)?, cut_from: None })
    }

    /// Everything else has to be drawn before its pixels can be read: the window alone, at its own size.
    fn draw(&mut self, frame: &JsValue, kind: &Kind, options: &Options) -> Outcome<Picture<'_>> {
        let side = |key| get(frame, key).map(|value| as_count(&value).unwrap_or_default());
        let (width, height) = (side(kind.width)?, side(kind.height)?);
        let unready = kind.tag == "HTMLVideoElement" && get(frame, "readyState")?.as_f64() < Some(2.0);
        if !kind.empty.is_empty() && (width == 0 || height == 0 || unready) {
            return refuse(kind.empty);
        }
        let seen = Window::new(width, height, options)?.pixels(width, height);
        let data = self.read_back(frame, &seen).inspect_err(|_| {
            // One foreign picture taints a canvas for good; the next frame gets a new one.
            self.surface = None;
        })?;
        self.fetch(&data)?;
        let frame = Frame::new(&self.bytes, seen.width, seen.height)?;
        Ok(Picture { frame, cut_from: Some((width, height)) })
    }

    fn read_back(&mut self, frame: &JsValue, seen: &Pixels) -> Outcome<Uint8Array> {
        let context = &self.surface(seen.width, seen.height)?.context;
        let (x, y) = (seen.x as f64, seen.y as f64);
        let (width, height) = (seen.width as f64, seen.height as f64);
        // A frame replaces the one before, its transparent parts too. (The composite operation `copy` does the same,
        // and takes a fifth longer.)
        context.clear_rect(0.0, 0.0, width, height);
        // The cast only chooses among the overloads of `drawImage`; JavaScript looks at what it gets.
        let drawn = context.draw_image_with_html_canvas_element_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(
            frame.unchecked_ref(),
            x,
            y,
            width,
            height,
            0.0,
            0.0,
            width,
            height,
        );
        if let Err(thrown) = drawn {
            return refuse(format!("the browser could not draw it: {}", message(&thrown)));
        }
        match context.get_image_data(0.0, 0.0, width, height) {
            Ok(image) => Ok(image.unchecked_ref::<Bytes>().data().unchecked_into()),
            Err(thrown) if get(&thrown, "name")?.as_string().as_deref() == Some("SecurityError") => refuse(
                "it comes from another origin, so the page may not read it (a tainted canvas); set crossOrigin = \
                 \"anonymous\" on the image or video, and let its server send Access-Control-Allow-Origin",
            ),
            Err(thrown) => refuse(format!("the browser gave no pixels: {}", message(&thrown))),
        }
    }

    /// The canvas, at least as large as needed and not much larger.
    fn surface(&mut self, width: usize, height: usize) -> Outcome<&Surface> {
        let surface = match self.surface.take() {
            Some(surface) => surface,
            None => Surface::new(width, height)?,
        };
        let surface = self.surface.insert(surface);
        if surface.size != (width, height) {
            surface.canvas.set_width(width as u32);
            surface.canvas.set_height(height as u32);
            surface.size = (width, height);
        }
        Ok(surface)
    }

    fn fetch(&mut self, data: &Uint8Array) -> Outcome<()> {
        let length = data.length() as usize;
        if self.bytes.len() != length {
            self.bytes.clear();
            if self.bytes.try_reserve_exact(length).is_err() {
                return refuse(format!("no memory is left for its {length} bytes"));
            }
            self.bytes.resize(length, 0);
        }
        data.copy_to(&mut self.bytes);
        Ok(())
    }
}

impl Surface {
    fn new(width: usize, height: usize) -> Outcome<Self> {
        let global = js_sys::global();
        // An element is read back faster than an OffscreenCanvas, which there is in workers too.
        let document = get(&global, "document")?;
        let canvas = if document.is_undefined() { offscreen(&global)? } else { element(&document)? };
        let canvas: HtmlCanvasElement = canvas.unchecked_into();
        let options = Object::new();
        set(&options, "willReadFrequently", true);
        // Bytes without transparency are read back in two thirds of the time; what is transparent lies on black.
        set(&options, "alpha", false);
        let context = canvas.get_context_with_context_options("2d", &options)?;
        let Some(context) = context else { return refuse("the browser has no canvas left to draw it on") };
        canvas.set_width(width as u32);
        canvas.set_height(height as u32);
        Ok(Self { canvas, context: context.unchecked_into(), size: (width, height) })
    }
}

/// A canvas where there is no document.
fn offscreen(global: &JsValue) -> Outcome<JsValue> {
    match get(global, "OffscreenCanvas")?.dyn_into::<js_sys::Function>() {
        Ok(constructor) => Reflect::construct(&constructor, &js_sys::Array::of2(&1.into(), &1.into())),
        Err(_) => refuse("there is no canvas to draw it on here; give { data, width, height }"),
    }
}

/// A canvas of the document.
fn element(document: &JsValue) -> Outcome<JsValue> {
    let create: js_sys::Function = get(document, "createElement")?.unchecked_into();
    create.call1(document, &"canvas".into())
}

fn get(object: &JsValue, key: &str) -> Outcome<JsValue> {
    Reflect::get(object, &key.into())
}

fn shown(value: &JsValue) -> String {
    value.as_f64().map_or_else(|| describe(value), |number| Decimal(number).to_string())
}
