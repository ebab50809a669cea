// The kernels' ABI as TypeScript sees it: one interface per folder of assembly/, pointers and lengths only. Types alone, so
// that every typed call may import this file and it imports none of them.

export interface KernelExports
  extends PrgExports,
    RingExports,
    BitsExports,
    MccExports,
    MacExports,
    SecurennExports,
    SecurennShareExports {
  readonly memory: WebAssembly.Memory
  heapBase(): number
}

type Pairwise = (a: number, b: number, out: number, n: number) => void
type Each = (x: number, by: number, out: number, n: number) => void
type Product = (a: number, b: number, c: number, m: number, kk: number, n: number, scratch: number) => void
type Embed = (
  x: number,
  c: number,
  h: number,
  w: number,
  s0: number,
  s1: number,
  a0: number,
  a1: number,
  y: number,
  channels: number,
  yh: number,
  yw: number,
  at: number,
  top: number,
  left: number,
) => void
type Resize = (
  x: number,
  c: number,
  h: number,
  w: number,
  rows: number,
  columns: number,
  bits: number,
  oh: number,
  ow: number,
  y: number,
) => void
type PoolSum = (
  x: number,
  c: number,
  h: number,
  w: number,
  kh: number,
  kw: number,
  sh: number,
  sw: number,
  top: number,
  left: number,
  oh: number,
  ow: number,
  y: number,
) => void
type Conv = (
  x: number,
  w: number,
  taps: number,
  pixels: number,
  y: number,
  groups: number,
  rows: number,
  depth: number,
  n: number,
  groupBytes: number,
  accumulate: number,
  scratch: number,
) => void
type Depthwise = (x: number, w: number, y: number, shape: number, accumulate: number, scratch: number) => void

interface RingExports {
  add32: Pairwise
  sub32: Pairwise
  mul32: Pairwise
  scale32: Each
  shl32: Each
  shrLogical32: Each
  and32: Each
  add64: Pairwise
  sub64: Pairwise
  mul64: Pairwise
  scale64(x: number, low: number, high: number, out: number, n: number): void
  shl64: Each
  shrLogical64: Each
  matmulScratch32(m: number, kk: number): number
  matmulScratch64(m: number, kk: number): number
  matmul32: Product
  matmul64: Product
  naiveMatmul32(a: number, b: number, c: number, m: number, kk: number, n: number): void
  packedWeightBytes32(rows: number, depth: number): number
  packedWeightBytes64(rows: number, depth: number): number
  packWeights32(w: number, rows: number, depth: number, to: number): void
  packWeights64(w: number, rows: number, depth: number, to: number): void
  unpackWeights32(w: number, rows: number, depth: number, to: number): void
  unpackWeights64(w: number, rows: number, depth: number, to: number): void
  convScratch(depth: number): number
  conv32: Conv
  conv64: Conv
  pack3x3Weights(w: number, rows: number, channels: number, which: number, to: number, scratch: number): void
  conv3x3(
    x: number,
    w: number,
    y: number,
    channels: number,
    rows: number,
    oh: number,
    ow: number,
    band: number,
    accumulate: number,
    scratch: number,
  ): void
  depthwise32: Depthwise
  depthwise64: Depthwise
  poolSum32: PoolSum
  poolSum64: PoolSum
  resize32: Resize
  resize64: Resize
  embed32: Embed
  embed64: Embed
}

interface BitsExports {
  packBits(src: number, count: number, bits: number, dst: number): void
  unpackBits(src: number, count: number, bits: number, dst: number): void
  toPlanes32(src: number, count: number, dst: number, scratch: number): void
  fromPlanes32(src: number, count: number, dst: number, scratch: number): void
}

interface PrgExports {
  chachaStream(
    key: number,
    n0: number,
    n1: number,
    n2: number,
    counter: number,
    rounds: number,
    out: number,
    byteLength: number,
  ): void
}

/** Of the float kernels, a module of their own. */
export interface FloatConvExports {
  convF32(
    x: number,
    w: number,
    taps: number,
    pixels: number,
    y: number,
    groups: number,
    rows: number,
    depth: number,
    n: number,
    groupBytes: number,
    first: number,
    last: number,
    bias: number,
    low: number,
    high: number,
    scratch: number,
  ): void
  depthwiseF32(
    x: number,
    w: number,
    bias: number,
    y: number,
    shape: number,
    low: number,
    high: number,
    scratch: number,
  ): void
}

type Words = (...words: number[]) => void

export interface FloatMapExports {
  clampF32(x: number, low: number, high: number, out: number, n: number): void
  addF32(a: number, b: number, low: number, high: number, out: number, n: number): void
  subF32(a: number, b: number, out: number, n: number): void
  addScaledF32(x: number, factor: number, out: number, n: number): void
  affineF32: Words
  blockActivationF32: Words
  maskActivationF32: Words
  avgPoolF32: Words
  maxPoolF32: Words
  padF32: Words
  resizeF32: Words
}

type Deal = (
  r: number,
  groups: number,
  lo: number,
  shape: number,
  t: number,
  rho: number,
  bits: number,
  tables: number,
) => void
type Read<Word> = (
  e: number,
  groups: number,
  add: Word,
  bits: number,
  lo: number,
  shape: number,
  t: number,
  tables: number,
  rows: number,
) => void

interface MacExports {
  mccMacKeys: Words
  mccLiftSelect: Words
  mccMacSelect: Words
  mccMacPassedKeys: Words
  mccLiftPassed: Words
  mccMacPassed: Words
  mccMacDot: Words
  mccDot32(a: number, b: number, count: number): number
  mccSubsetSums(flags: number, words: number, count: number, vectors: number, sums: number): void
}

interface MccExports {
  mccDeal: Deal
  mccDeal64: Deal
  mccRead: Read<number>
  mccRead64: Read<bigint>
  mccWalk(rows: number, opened: number, groups: number, t: number, beta: number): void
  mccMaskTruncated(y: number, a: number, count: number, f: number, bits: number, out: number): void
  mccAddTruncated(m: number, a: number, count: number, f: number, bits: number, out: number): void
  mccDealRho(rho: number, count: number, words: number): void
  mccDealWrap(r: number, a: number, count: number, bits: number, omega: number, mu: number): void
  mccDealSelect(r: number, count: number, bits: number, rho: number, p: number, q: number): void
  mccShareAddend(x: number, count: number, f: number, bits: number, offset: number, omega: number, out: number): void
  mccSelect(
    e: number,
    count: number,
    bits: number,
    beta: number,
    rho: number,
    p: number,
    q: number,
    a1: number,
    mu: number,
    one: number,
    sign: number,
    other: number,
    out: number,
  ): void
  mccExtend(
    e: number,
    count: number,
    bits: number,
    a1: number,
    mu: number,
    one: number,
    sign: number,
    other: number,
    out: number,
  ): void
  mccDealCurve: Words
  mccCurve: Words
  mccDealProduct: Words
  mccProduct: Words
  mccDealQuadratic: Words
  mccAnswerQuadratic: Words
  mccFinishQuadratic: Words
  gather32(values: number, index: number, count: number, out: number): void
  scatter32(values: number, index: number, count: number, out: number): void
  gatherBits(bits: number, index: number, count: number, out: number): void
  patchSums(
    values: number,
    start: number,
    elements: number,
    shifts: number,
    shift: number,
    count: number,
    out: number,
  ): void
  split64(words: number, count: number, low: number, high: number): void
  join64(low: number, high: number, count: number, words: number): void
}

interface SecurennExports {
  sampleBelow(bytes: number, len: number, range: number, least: number, out: number, count: number): number
  snnShareBits(x: number, n: number, bits: number, share: number, out: number, scratch: number): void
  snnCompare(
    x: number,
    t: number,
    less: number,
    always: number,
    zero: number,
    s: number,
    n: number,
    bits: number,
    party: number,
    out: number,
    scratch: number,
  ): void
  snnRotate(digits: number, amounts: number, n: number, bits: number, scratch: number): void
  snnAnyZero(a: number, b: number, n: number, bits: number, out: number): void
}

interface SecurennShareExports {
  snnWindow(v: number, n: number, drop: number, bits: number, offset: bigint, out: number): void
  snnAddWrap(a: number, b: number, n: number, bits: number, sum: number, wrap: number): void
  snnReduceEven(x: number, n: number, bits: number): void
  snnReduceOdd(x: number, n: number, bits: number): void
  snnSubOdd(value: number, share: number, n: number, bits: number, out: number): void
  snnAddOdd(a: number, b: number, n: number, bits: number, out: number): void
  snnShareFlag(flag: number, share: number, n: number, bits: number, odd: number, out: number): void
  snnLowBit(x: number, n: number, flag: number): void
  snnThreshold(
    t: number,
    flip: number,
    n: number,
    bits: number,
    wraps: number,
    out: number,
    less: number,
    always: number,
  ): void
  snnConvert(
    a: number,
    wrap: number,
    delta: number,
    eta: number,
    flip: number,
    alpha: number,
    x: number,
    n: number,
    bits: number,
    party: number,
    z: number,
  ): void
  snnOpenXor(
    answer: number,
    flip: number,
    lowBit: number,
    z: number,
    tripleA: number,
    tripleB: number,
    n: number,
    party: number,
    opened: number,
  ): void
  snnProduct(
    mine: number,
    theirs: number,
    tripleA: number,
    tripleB: number,
    tripleC: number,
    n: number,
    party: number,
    out: number,
  ): void
  snnSign(gamma: number, delta: number, product: number, n: number, positive: number, party: number, out: number): void
  snnTruncate(y: number, n: number, f: number, party: number, out: number): void
  gather64(values: number, index: number, count: number, out: number): void
  scatter64(values: number, index: number, count: number, out: number): void
  snnPatchSums(
    values: number,
    start: number,
    elements: number,
    shifts: number,
    most: number,
    count: number,
    out: number,
  ): void
}
