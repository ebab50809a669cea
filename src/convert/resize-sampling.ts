// Which element a resize reads where. Formats have a dozen conventions; two resizes are the same when they read the
// same places, whatever their conventions are called, so the places are compared.

/** Where an output element lies in the input, along one axis. */
export type Coordinate = (out: number) => number

export interface Axis {
  readonly size: number
  readonly resized: number
  /** resized / size, unless the file gives its own. */
  readonly scale?: number
}

/** Longer axes are not compared. */
const LONGEST = 2 ** 15

export const COORDINATES: Readonly<Record<string, (axis: Axis) => Coordinate>> = {
  half_pixel:
    ({ size, resized, scale = resized / size }) =>
    (i) =>
      (i + 0.5) / scale - 0.5,
  pytorch_half_pixel:
    ({ size, resized, scale = resized / size }) =>
    (i) =>
      resized > 1 ? (i + 0.5) / scale - 0.5 : 0,
  asymmetric:
    ({ size, resized, scale = resized / size }) =>
    (i) =>
      i / scale,
  align_corners:
    ({ size, resized }) =>
    (i) =>
      resized > 1 ? (i * (size - 1)) / (resized - 1) : 0,
}

export const ROUNDINGS: Readonly<Record<string, (x: number) => number>> = {
  floor: (x) => Math.floor(x),
  ceil: (x) => Math.ceil(x),
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
}

/** Whether the resize is `arch/1`'s nearest: element floor(i · size / resized). */
export function isNearest(axis: Axis, coordinate: Coordinate, rounding: (x: number) => number): boolean {
  return agree(axis, 0, (i) => {
    const floor = Math.floor((i * axis.size) / axis.resized)
    return [clamp(rounding(coordinate(i)), axis.size), floor]
  })
}

const BILINEAR = {
  half_pixel: 'bilinear',
  asymmetric: 'bilinear-asymmetric',
  align_corners: 'bilinear-align-corners',
} as const

/** The bilinear mode of `arch/1` that reads the same places along every axis, if there is one. */
export function bilinearMode(axes: readonly Axis[], coordinate: (axis: Axis) => Coordinate) {
  const match = Object.entries(BILINEAR).find(([name]) =>
    axes.every((axis) => {
      const own = COORDINATES[name]({ size: axis.size, resized: axis.resized })
      const given = coordinate(axis)
      return agree(axis, 1e-5, (i) => [clamp(given(i), axis.size), clamp(own(i), axis.size)])
    }),
  )
  return match?.[1]
}

function agree({ resized }: Axis, tolerance: number, pair: (i: number) => readonly [number, number]): boolean {
  if (resized > LONGEST) return false
  for (let i = 0; i < resized; i++) {
    const [a, b] = pair(i)
    if (!(Math.abs(a - b) <= tolerance)) return false
  }
  return true
}

function clamp(x: number, size: number): number {
  return Math.min(Math.max(x, 0), size - 1)
}
