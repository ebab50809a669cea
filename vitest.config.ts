// Two sets of tests: `npm test` runs everything, `npm run test:fast` what answers within a minute on two cores.
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
  'test/plan/{ranges,outline,linear-algebra}.test.ts', // hundreds of random networks, every family of the literature
  'test/kernels/securenn.test.ts', // comparisons of every width against their twins
  'test/protocol/mcc/{bends,guard/signs,guard/enumerated}.test.ts', // gadgets over many draws, or all of them
  'test/protocol/securenn/cost.test.ts', // random networks over metered links
  'test/net/websocket.test.ts',
  'test/operate/{workers,fleet-deploy}.test.ts', // processes
  'test/fleet/{processes,schedule}.test.ts', // processes, whole schedules
  'test/party/{admission,intake}.test.ts', // sockets and queues that are waited for
  'test/tune/knapsack/**', // the knapsack against every choice
  'test/tune/allocation/{layer-moves,choice-plan}.test.ts',
  'test/float/{networks,published}.test.ts', // trained networks in float
  'test/engine/engines.test.ts', // brokers
  'test/protocol/mcc/guard/deviations.test.ts', // every deviation of a client
  'test/files/{no-hang,special-files}.test.ts', // every command on every kind of file
  'test/files/shared-pool-scale.test.ts', // a fleet's measurement of a whole network
  'test/plan/compile/rounding.test.ts', // whole networks
  'test/tune/allocation/planned-masks.test.ts', // the same
  'test/train/{killed,model,search/command,search/search}.test.ts', // train networks, several times
  'test/audit/{audit,command}.test.ts', // a hundred private inferences each
]

/** What puts modules of its own in place of others, and therefore shares none with other files. */
const MOCKING = [
  'test/party/mcc/forgotten-registration.test.ts',
  'test/party/helper/dealers.test.ts',
  'test/party/wipe.test.ts',
  'test/protocol/pieces.test.ts',
  'test/protocol/parts.test.ts',
  'test/random/draws.test.ts',
  'test/tune/cost/no-kernels.test.ts',
]

// Generous: a machine that is busy with other things is no fault.
const test = {
  setupFiles: ['test/fixtures/equal-bytes.ts'],
  testTimeout: 300_000,
  hookTimeout: 300_000,
  expect: { poll: { timeout: 60_000 } },
}

export default defineConfig({
  test: {
    maxWorkers: '100%',
    projects: [
      // A process loads the modules once for all its files: half the time of this set went into loading them.
      {
        test: { ...test, name: 'fast', include: ['test/**/*.test.ts'], exclude: [...SLOW, ...MOCKING], isolate: false },
      },
      { test: { ...test, name: 'fast, mocking', include: MOCKING } },
      { test: { ...test, name: 'slow', include: SLOW.map((path) => path.replace(/\*\*(?=$|,)/, '**/*.test.ts')) } },
    ],
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      exclude: ['src/kernels/**/wasm.generated.ts'],
      reportOnFailure: true,
      reporter: ['text-summary', 'json-summary', 'html'],
    },
  },
})
