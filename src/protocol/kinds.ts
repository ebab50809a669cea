// The kinds of frames parties exchange; net/framing.ts carries them, phase and step beside them.

export const Kind = {
  hello: 1, // who connects, and for what
  welcome: 2, // the answer: keys, identifiers
  plan: 3, // the plan's JSON
  weights: 4, // server → helper: a piece of F
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
  output: 24, // server → client: y - m
  // On securenn; the messages of an inference are those of securenn/parties.ts.
  pair: 30, // client → server: the seed they share
  start: 31, // client → server, client → helper, server → helper: the inference that starts
  // Material that outlives its connection.
  keep: 40, // client → server: keep what this session leaves unused
  kept: 41, // the session's token; zero where the server keeps nothing
  resume: 42, // client → server: an earlier session and its token
  resumed: 43, // 1 when it may be used, else 0
  claim: 44, // client → server: an inference of an earlier session, for the input that follows
  claimed: 45, // 1 when it was unused, else 0
} as const
