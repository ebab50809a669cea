// Every host plays every role it can: clients on Node 20, 22, 24, Deno, Bun and in Chromium, server and helper on Node and
// Deno. Whoever plays, the result equals the integer reference under the masks of its run, bit for bit.
import { afterAll, beforeAll, describe, it } from 'vitest'
import { loadModelDirectory } from '../../src/files/model-directory.js'
import { findModel } from '../../src/files/prepared-model.js'
import { type Compiled, compile } from '../../src/plan/compile/compile.js'
import type { Backend } from '../../src/plan/plan.js'
import { CHROMIUM, hasChromium } from '../browser/site.js'
import { CLIENTS, Party, SERVERS, script } from './hosts.js'
import { type ClientReport, expectReference } from './judged.js'
import { runInPage } from './page.js'

for (const backend of ['mcc', 'securenn'] as const satisfies readonly Backend[]) {
  for (const serverHost of SERVERS) {
    for (const helperHost of SERVERS) {
      // The published protocol needs no second tour of every pair.
      if (backend === 'securenn' && serverHost !== helperHost) continue
      const ready = serverHost.command && helperHost.command
      const title = `${backend}, server on ${serverHost.name}, helper on ${helperHost.name}`
      describe.skipIf(!ready)(ready ? title : `${title} (skipped: ${SERVERS[1].missing})`, () => {
        let helper: Party
        let server: Party
        let compiled: Compiled
        let at: readonly [server: string, helper: string]
        beforeAll(async () => {
          const { arch, weights, calibration, spec } = await loadModelDirectory(findModel('mnist-cnn3'))
          compiled = compile(arch, weights, calibration!, spec, { backend })
          helper = new Party(helperHost, 'helper', [])
          const { url: helperUrl } = await helper.line<{ url: string }>((line) => 'url' in line)
          server = new Party(serverHost, 'server', [helperUrl, backend])
          const { url } = await server.line<{ url: string }>((line) => 'url' in line)
          at = [url, helperUrl]
        })
        afterAll(() => {
          server?.stop()
          helper?.stop()
        })
        for (const host of CLIENTS) {
          const name = `client on ${host.name}`
          it.skipIf(!host.command)(host.command ? name : `${name} (skipped: ${host.missing})`, async () => {
            const client = new Party(host, 'client', at)
            const report = await client.line<ClientReport & Record<string, unknown>>((line) => 'raw' in line)
            await expectReference(compiled, report, server)
          })
        }
        const inChromium = 'client in Chromium'
        it.skipIf(!hasChromium)(hasChromium ? inChromium : `${inChromium} (skipped: no ${CHROMIUM})`, async () => {
          await expectReference(compiled, await runInPage(script('client'), at), server)
        })
      })
    }
  }
}
