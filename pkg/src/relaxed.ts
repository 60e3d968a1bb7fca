/**
 * Whether relaxed SIMD gives the results that the kernels count on.
 *
 * V8 11.3 with its experimental flag computes the dot product wrongly, depending on registers (with operands as below).
 * The second operand of a dot product is from 0 to 127, where all engines must agree; a multiply-add may round once or
 * twice. The module in the text format, from which tests/package/relaxed.test.ts makes the bytes:
 *
 * ```wat
 * (module
 *   (func (export "isRight") (result i32)
 *     (local $sum v128)
 *     (local.set $sum
 *       (f32x4.relaxed_madd
 *         (v128.const f32x4 0x1.001p0 3 -2 0)
 *         (v128.const f32x4 0x1.001p0 5 7 1)
 *         (v128.const f32x4 -0x1.002p0 -1 0.5 4)))
 *     (i32x4.all_true
 *       (v128.and
 *         (v128.and
 *           (i32x4.eq
 *             (i32x4.relaxed_dot_i8x16_i7x16_add_s
 *               (v128.const i8x16 -128 -128 -128 -128 127 -128 -1 1 -127 127 127 -127 -1 -2 -3 -4)
 *               (v128.const i8x16 127 127 127 127 127 126 125 124 0 127 64 3 1 2 3 4)
 *               (v128.const i32x4 1 -2 3 65536))
 *             (v128.const i32x4 -65023 -2 23879 65506))
 *           (i16x8.eq
 *             (i16x8.relaxed_dot_i8x16_i7x16_s
 *               (v128.const i8x16 -128 -128 -128 -128 127 -128 -1 1 -127 127 127 -127 -1 -2 -3 -4)
 *               (v128.const i8x16 127 127 127 127 127 126 125 124 0 127 64 3 1 2 3 4))
 *             (v128.const i16x8 -32512 -32512 1 -1 16129 7747 -5 -25)))
 *         (v128.and
 *           (i16x8.eq
 *             (i16x8.relaxed_q15mulr_s
 *               (v128.const i16x8 -32768 32767 1 -1 3 -3 16384 0)
 *               (v128.const i16x8 1 32767 16384 16384 16384 16384 16384 9))
 *             (v128.const i16x8 -1 32766 1 0 2 -1 8192 0))
 *           (v128.or
 *             (f32x4.eq (local.get $sum) (v128.const f32x4 0x1p-24 14 -13.5 4))
 *             (f32x4.eq (local.get $sum) (v128.const f32x4 0 14 -13.5 4))))))))
 * ```
 */
const bytes =
  "AGFzbQEAAAABBQFgAAF/AwIBAAcLAQdpc1JpZ2h0AAAKvAIBuQIBAXv9DAAIgD8AAEBAAAAAwAAAAAD9DAAIgD8AAKBAAADgQAAAgD/9DAAQgL8AAIC/AAAAPwAAgED9hQIhAP0MgICAgH+A/wGBf3+B//79/P0Mf39/f39+fXwAf0ADAQIDBP0MAQAAAP7///8DAAAAAAABAP2TAv0MAQL///7///9HXQAA4v8AAP03/QyAgICAf4D/AYF/f4H//v38/Qx/f39/f359fAB/QAMBAgME/ZIC/QwAgQCBAQD//wE/Qx77/+f//S39Tv0MAID/fwEA//8DAP3/AEAAAP0MAQD/fwBAAEAAQABAAEAJAP2RAv0M///+fwEAAAACAP//ACAAAP0tIAD9DAAAgDMAAGBBAABYwQAAgED9QSAA/QwAAAAAAABgQQAAWMEAAIBA/UH9UP1O/U79owEL";

const decode = (base64: string) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

let answer: Promise<boolean> | undefined;

/** Runs the test, once for a page. */
export function relaxedSimd(): Promise<boolean> {
  const module = decode(bytes);
  if (!WebAssembly.validate(module)) return Promise.resolve(false);
  answer ??= WebAssembly.instantiate(module)
    .then(({ instance }) => (instance.exports.isRight as () => number)() === 1)
    .catch(() => false);
  return answer;
}
