// Errors as people read them: which party, what it means, what to do.

/** @param parties their addresses, or undefined when this page's own server did not tell them */
export function explain(error, parties) {
  const report = `${error.code ?? error.name}: ${error.message}`
  if (!parties) {
    const advice = 'Nobody answers where this page came from. Start the example again: npm run example:browser'
    return { title: 'The example has ended', advice, report }
  }
  const party = partyIn(report, parties)
  const known = BY_CODE[error.code]
  return known ? { ...known(party), report } : { title: 'Something went wrong', advice: 'Connect again.', report }
}

const BY_CODE = {
  PEER_GONE: (party) => ({
    title: `The ${party} is gone`,
    advice: `Nobody answers at the ${party}’s address. Start it again: this page connects by itself. Your picture did not leave it.`,
  }),
  PEER_FAILED: (party) => ({
    title: `The ${party} gave up`,
    advice: `It met an error of its own, which it does not tell. Look at what it printed; this page tries again by itself.`,
  }),
  DEADLINE: (party) => ({
    title: `The ${party} does not answer in time`,
    advice: 'The network may be slow, or that party may hang. This page tries again by itself.',
  }),
  INSECURE: () => ({
    title: 'A connection is not safe',
    advice: 'The page refused to go on, and nothing of your picture was sent. See the report below.',
  }),
  HOST: () => ({
    title: 'This browser lacks something',
    advice: 'WebAssembly, workers and WebSockets are needed. See the report below.',
  }),
}

function partyIn(report, { server, helper }) {
  if (report.includes(new URL(helper).host) || /\bhelper\b/.test(report)) return 'helper'
  return report.includes(new URL(server).host) || /\bserver\b/.test(report) ? 'server' : 'other party'
}
