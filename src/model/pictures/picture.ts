// What a picture is: levels from 0 to 255.

/** Rows from the top, pixels from the left, channels side by side; 1 channel is grey, 3 are red, green, blue. */
export interface Picture {
  readonly width: number
  readonly height: number
  readonly channels: 1 | 3
  readonly data: Uint8Array
}

/** Transparent pixels are shown on white. */
export const BACKGROUND = 255

/** A picture may have this many pixels. */
export const MOST_PIXELS = 2 ** 24
