// The client's script in a page: bundled, with the arguments and the output of a process.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as esbuild from 'esbuild'
import { launch, serveFolder } from '../browser/site.js'

/** Runs a role's script in Chromium; returns what it prints. */
export async function runInPage<T>(script: string, args: readonly string[]): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'ringfence-host-'))
  writeFileSync(
    join(folder, 'index.html'),
    '<!doctype html><title>role</title><script type="module" src="/role.js"></script>',
  )
  const argv = JSON.stringify(['', '', ...args])
  await esbuild.build({
    entryPoints: [script],
    bundle: true,
    format: 'esm',
    target: 'es2022',
    outfile: join(folder, 'role.js'),
    banner: { js: `const process = { argv: ${argv}, exit() {} }` },
    logLevel: 'error',
  })
  const site = await serveFolder(folder, args)
  const browser = await launch()
  try {
    const page = await browser.newPage()
    const printed = new Promise<T>((resolve, reject) => {
      page.on('console', (message) => {
        if (message.type() === 'log') resolve(JSON.parse(message.text()))
      })
      page.on('pageerror', reject)
    })
    await page.goto(site.url)
    return await printed
  } finally {
    await browser.close()
    site.close()
  }
}
