// The kinds of frames parties exchange; net/framing.ts carries them, phase and step beside them.

export const Kind = {
  hello: 1, // who connects, and for what
  welcome: 2, // the answer: keys, identifiers
  plan: 3, // the plan's JSON
  weights: 4, // server → helper: a piece of F
  reserve: 10, // client → server: room for inferences
  reserved: 11, // how many were granted
  deal: 12, // client → helper: which inferences to deal
  dealt: 13, // they are on their way to the server
  upload: 14, // client → server: δ of an inference follows
  delta: 15, // δ of one step
  bundle: 16, // helper → server: the material of an inference follows
  material: 17, // one step's material
  infer: 20, // client → server: the inference that starts
  input: 21, // x - r
  opening: 22, // server → client: e and table rows
  reply: 23, // client → server: β and z - r
  output: 24, // server → client: y - m
  // On securenn; the messages of an inference are those of securenn/parties.ts.
  pair: 30, // client → server: the seed they share
  start: 31, // client → server, client → helper, server → helper: the inference that starts
} as const
