// The kinds of frames parties exchange, the only register of them: one code means one message on either back end.
// net/framing.ts carries them, phase and step beside them, and keeps 255 for failures.

export const Kind = {
  hello: 1, // who connects, and for what
  welcome: 2, // the answer: keys, identifiers
  plan: 3, // the plan's JSON
  weights: 4, // server → helper: a piece of F
  transposes: 5, // server → helper, guarded plans: λ' of one tensor
  lacks: 6, // helper → replica: 1 where plan and F are to follow
  reserve: 10, // client → server: room for inferences
  reserved: 11, // how many were granted, and the grant for the helper
  deal: 12, // client → helper: which inferences to deal, and the server's grant
  dealt: 13, // they are on their way to the server
  upload: 14, // client → server: δ of an inference follows
  delta: 15, // δ of one step
  bundle: 16, // helper → server: the material of an inference follows
  material: 17, // one step's material
  undealt: 18, // helper → server: the bundle under way ends here, unfinished
  infer: 20, // client → server: the inference that starts
  input: 21, // x - r
  opening: 22, // server → client: e and table rows
  reply: 23, // client → server: β and z - r
  output: 24, // server → client: y - m, on securenn its share of y
  signs: 25, // server → client, guarded plans: what is compared once more
  proof: 26, // client → server, guarded plans: the tag of all replies, β of the second comparisons
  // An inference on securenn.
  pair: 30, // client → server: the seed they share
  start: 31, // client → server, client → helper, server → helper: the inference that starts
  tensor: 32, // client → server: its share of a tensor, less r
  linear: 33, // helper → server: F∗r - s
  // Material that outlives its connection.
  keep: 40, // client → server: keep what this session leaves unused
  kept: 41, // the session's token; zero where the server keeps nothing
  resume: 42, // client → server: an earlier session and its token
  resumed: 43, // 1 when it may be used, else 0
  claim: 44, // client → server: an inference of an earlier session, for the input that follows
  claimed: 45, // 1 when it was unused, else 0
  // DReLU and products on securenn; a frame's step is the layer.
  masked: 50, // client, server → helper: a + r
  converted: 51, // helper → server: δ, x, low bit of x, bits of a + r, bits of x
  digits1: 52, // client, server → helper: s·c of the first comparison
  wrap: 53, // helper → server: η'
  opened: 54, // client ↔ server: 2y + x
  digits2: 55, // client, server → helper: s·c of the second comparison
  answer: 56, // helper → server: β' and C of the product
  xor: 57, // client ↔ server: openings of γ·δ
  productC: 58, // helper → server: C of a product
  product: 59, // client ↔ server: openings of a product
  // A delegate and its server; the first two also a helper and a replica of a server.
  challenge: 60, // server → client: a key of this connection; welcome follows to who answers with its delegate's
  identified: 61, // delegate → server: the seed that both keys agree on
  delegate: 62, // delegate → server: this connection tells which halves are here
  offer: 63, // delegate → server: the id of an owner's seed that has come
  wanted: 64, // server → delegate: its other half is here
  join: 65, // delegate → server: an id, an unused inference, p - r and m - p_out
  joined: 66, // 1 when the inference begins, 0 when its owner has left
} as const

export type KindName = keyof typeof Kind
