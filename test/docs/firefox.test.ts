// The guide's page in Firefox: a smoke test beside the tests in Chromium.
import { execFileSync } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { partiesFor } from '../browser/site.js'
import { FIREFOX, Firefox, hasFirefox } from './firefox.js'
import { fill, readGuide, root, workspace } from './guides.js'
import { serve } from './site.js'

const title = 'the guide for browsers, in Firefox'
describe.skipIf(!hasFirefox)(hasFirefox ? title : `${title} (skipped: no ${FIREFOX})`, () => {
  it('classifies two pictures in a worker, under its policy', async () => {
    const guide = readGuide('browser.md')
    const parties = await partiesFor('mnist-cnn3')
    const replaced = { 'wss://server.example': parties.server.url, 'wss://helper.example': parties.helper.url }
    const folder = workspace(guide, replaced)
    const build = guide.commands.find((lines) => lines[0].includes('esbuild main.js'))!
    const path = [join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter)
    const script = build.map((line) => line.replace(/^npx /, '')).join(' && ')
    execFileSync('sh', ['-c', script], { cwd: folder, env: { ...process.env, PATH: path }, stdio: 'pipe' })
    const site = await serve(join(folder, 'dist'), fill(guide.files.get('policy.txt')!.trim(), replaced))
    const firefox = await Firefox.launch()
    try {
      await firefox.open(site.url)
      for (const digit of [4, 7]) {
        await firefox.evaluate("document.getElementById('answer').textContent = ''")
        await firefox.pick('#picture', join(root, `models/samples/digit-${digit}.png`))
        const answer = await firefox.evaluate(`new Promise((resolve) => {
          const look = () => {
            const { textContent } = document.getElementById('answer')
            if (textContent === '' || textContent.startsWith('working')) setTimeout(look, 20)
            else resolve(textContent)
          }
          look()
        })`)
        expect(answer).toMatch(new RegExp(`^${digit}, in \\d+ ms$`))
      }
      const scripts = "performance.getEntriesByType('resource').map(({ name }) => name).join(' ')"
      expect(await firefox.evaluate(scripts)).toContain('worker.js')
      expect(await firefox.evaluate('navigator.userAgent')).toContain('Firefox/')
    } finally {
      await firefox.close()
      site.close()
      await parties.close()
    }
  })
})
