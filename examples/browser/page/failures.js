// Errors as people read them: which party, what it means, what to do.

/**
 * @param parties their addresses, or undefined when this page's own server did not tell them
 * @param keeps whether the client keeps trying by itself
 */
export function explain(error, parties, keeps) {
  const report = `${error.code ?? error.name}: ${error.message}`
  if (!parties) {
    const advice = 'Nobody answers where this page came from. Start the example again: npm run example:browser'
    return { title: 'The example has ended', advice, report }
  }
  const party = partyIn(report, parties)
  const known = BY_CODE[error.code]
  return known
    ? { ...known(party, keeps ? 'this page tries again by itself' : 'then connect, or classify again'), report }
    : { title: 'Something went wrong', advice: 'Connect again.', report }
}

const BY_CODE = {
  PEER_GONE: (party, next) => ({
    title: `The ${party} is gone`,
    advice: `Nobody answers at the ${party}’s address. Start it again: ${next}. Your picture did not leave it.`,
  }),
  PEER_FAILED: (party, next) => ({
    title: `The ${party} gave up`,
    advice: `It met an error of its own, which it does not tell. Look at what it printed; ${next}.`,
  }),
  DEADLINE: (party, next) => ({
    title: `The ${party} does not answer in time`,
    advice: `The network may be slow, or that party may hang. See that it runs; ${next}.`,
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
  if (/\bdelegate\b/.test(report)) return 'delegate'
  if (report.includes(new URL(helper).host) || /\bhelper\b/.test(report)) return 'helper'
  return report.includes(new URL(server).host) || /\bserver\b/.test(report) ? 'server' : 'other party'
}
