//! Pixels out of whatever JavaScript calls a picture.
//!
//! Goes in: a canvas, video, image, bitmap, `VideoFrame`, `ImageData` or `{ data, width, height }`. Comes out: RGBA
//! bytes in the wasm memory, of the whole frame or of the window that the options show. Next: `image` resizes them.
//!
//! What must be drawn is drawn at its own size, never scaled by the browser, onto one canvas that `browser.js` keeps and
//! reads with `willReadFrequently`; both it and the bytes are reused, so a stream of frames allocates nothing here. The
//! caller's frame is only looked at.

use super::value::Outcome;
use crate::Error;
use crate::image::{Frame, Options, Window, check_size};
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/js/browser.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    fn measure(frame: &JsValue, size: &mut [f64]) -> Outcome<Option<Uint8Array>>;
    #[wasm_bindgen(catch)]
    fn draw(
        frame: &JsValue,
        size: &[f64],
        x: usize,
        y: usize,
        width: usize,
        height: usize,
    ) -> Outcome<Uint8Array>;
}

/// A picture that lies in the wasm memory.
pub struct Picture<'a> {
    /// The bytes: of the whole frame, or of its window alone.
    pub frame: Frame<'a>,
    /// Where the bytes are the window's alone: width and height of the whole frame.
    pub cut_from: Option<(usize, usize)>,
}

/// Takes pixels from frames; keeps the bytes from one to the next.
#[derive(Default)]
pub struct Grabber {
    bytes: Vec<u8>,
}

impl Grabber {
    /// The pixels of `frame`, as far as `options` show them.
    pub fn grab(&mut self, frame: &JsValue, options: &Options) -> Outcome<Picture<'_>> {
        let mut size = [0.0; 2];
        let data = measure(frame, &mut size)?;
        let (width, height) = (size[0] as usize, size[1] as usize);
        match data {
            // Its bytes are there to be copied.
            Some(data) => {
                check_size(width, height)?;
                self.fetch(&data)?;
                Ok(Picture { frame: Frame::new(&self.bytes, width, height)?, cut_from: None })
            }
            // Everything else has to be drawn before its pixels can be read: the window alone, at its own size.
            None => {
                let seen = Window::new(width, height, options)?.pixels(width, height);
                self.fetch(&draw(frame, &size, seen.x, seen.y, seen.width, seen.height)?)?;
                let frame = Frame::new(&self.bytes, seen.width, seen.height)?;
                Ok(Picture { frame, cut_from: Some((width, height)) })
            }
        }
    }

    fn fetch(&mut self, data: &Uint8Array) -> Outcome<()> {
        let length = data.length() as usize;
        if self.bytes.len() != length {
            self.bytes.clear();
            if self.bytes.try_reserve_exact(length).is_err() {
                return Err(Error::frame(format!("no memory is left for its {length} bytes")).into());
            }
            self.bytes.resize(length, 0);
        }
        data.copy_to(&mut self.bytes);
        Ok(())
    }
}
