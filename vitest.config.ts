// Two sets of tests: `npm test` runs everything, `npm run test:fast` what answers within a minute on two idle cores.
import { defineConfig } from 'vitest/config'

/**
 * Left out of the fast set: what starts processes, browsers or bundlers or needs dist, and what runs whole networks,
 * enumerates views, or sweeps thousands of cases. What these files test is tested in the small by the others.
 */
const SLOW = [
  'test/{bench,browser,cli,docs,hosts,package}/**', // processes, browsers, bundlers, the built package
  'test/protocol/networks/**', // whole networks on both back ends
  'test/protocol/**/{views,views.*,joint-view,network-views,networks,waves,waves-broken}.test.ts',
  'test/party/**/{failures,memory,sessions,hostile}.test.ts', // every fault at every message, thousands of inferences
  'test/convert/{fuzz,fuzz-graph,published}.test.ts', // 30,000 damaged files
  'test/plan/{ranges,outline}.test.ts', // hundreds of random networks, every family of the literature
  'test/kernels/securenn.test.ts', // comparisons of every width against their twins
  'test/protocol/mcc/{bends,guard/signs,guard/enumerated}.test.ts', // gadgets over many draws, or all of them
  'test/protocol/securenn/cost.test.ts', // random networks over metered links
  'test/net/websocket.test.ts',
  'test/operate/workers.test.ts', // processes
  'test/fleet/{processes,schedule}.test.ts', // processes, whole schedules
  'test/party/{admission,intake}.test.ts', // sockets and queues that are waited for
  'test/tune/knapsack/**', // the knapsack against every choice
  'test/tune/allocation/{layer-moves,choice-plan}.test.ts',
  'test/float/{networks,published}.test.ts', // trained networks in float
  'test/audit/{audit,command}.test.ts', // a hundred private inferences each
]

const test = { testTimeout: 300_000, hookTimeout: 300_000 }

export default defineConfig({
  test: {
    projects: [
      { test: { ...test, name: 'fast', include: ['test/**/*.test.ts'], exclude: SLOW } },
      { test: { ...test, name: 'slow', include: SLOW.map((path) => path.replace(/\*\*(?=$|,)/, '**/*.test.ts')) } },
    ],
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      exclude: ['src/kernels/**/wasm.generated.ts'],
      reporter: ['text-summary', 'json-summary', 'html'],
    },
  },
})
