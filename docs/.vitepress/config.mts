import path from 'node:path'
import { defineConfig, type MarkdownOptions } from 'vitepress'

// The pages are written for GitHub: links among them stay, and those to anything else lead to the repository.
const repository = 'https://github.com/holdfast-dev/holdfast/blob/main/'

const outside: MarkdownOptions['config'] = (md) => {
  md.core.ruler.push('outside', (state) => {
    for (const token of state.tokens.flatMap((t) => t.children ?? [])) {
      const href = token.type === 'link_open' ? token.attrGet('href') : null
      if (!href || /^[a-z]+:|^#/.test(href)) continue
      const page = path.posix.join('docs', path.posix.dirname(state.env.relativePath ?? ''), href)
      const ending = /\.(\w+)(#.*)?$/.exec(page)?.[1]
      if (!page.startsWith('docs/') || (ending && ending !== 'md')) {
        token.attrSet('href', repository + page)
      } else if (/(^|\/)README\.md(#|$)/.test(href)) {
        token.attrSet('href', href.replace('README.md', 'index.md'))
      }
    }
  })
}

export default defineConfig({
  title: 'Holdfast',
  description: 'The audit trail of Kubernetes custom resources, with the resource itself as the durable outbox',
  cleanUrls: true,
  rewrites: { 'README.md': 'index.md', ':folder/README.md': ':folder/index.md' },
  markdown: {
    config: outside,
    languageAlias: { 'shell-session': 'shellsession' },
    // As on GitHub, so that one anchor is right in both places.
    anchor: { slugify: (s) => s.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-') },
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    socialLinks: [{ icon: 'github', link: 'https://github.com/holdfast-dev/holdfast' }],
    sidebar: [
      { text: 'Start', items: [
        { text: 'Quickstart', link: '/quickstart' },
        { text: 'All pages', link: '/' },
        { text: 'Operations', link: '/operations' },
        { text: 'kubectl holdfast', link: '/kubectl' },
        { text: 'Reports', link: '/reports' },
        { text: 'Your own operator', link: '/embedding' },
      ] },
      { text: 'Concepts', items: [
        { text: 'Architecture', link: '/architecture' },
        { text: 'Guarantees', link: '/guarantees' },
        { text: 'Threat model', link: '/threat-model' },
        { text: 'Verdicts', link: '/verdicts' },
        { text: 'Decisions', link: '/adr/' },
      ] },
      { text: 'Tasks', items: [
        { text: 'Install', link: '/install' },
        { text: 'Upgrade', link: '/upgrading' },
        { text: 'Monitor', link: '/operations#metrics' },
        { text: 'Troubleshooting', link: '/troubleshooting' },
        { text: 'Answer an alert', link: '/operations#alerts' },
        { text: 'Stuck finalizers', link: '/operations#stuck-finalizers' },
        { text: 'Restore', link: '/operations#the-database-was-restored-or-failed-over' },
        { text: 'Scale', link: '/scaling' },
        { text: 'Post records over REST', link: '/storage-auth' },
        { text: 'Connect Alertmanager', link: '/gateway' },
        { text: 'GitOps and backups', link: '/gitops-and-backups' },
      ] },
      { text: 'Reference', items: [
        { text: 'Resources', link: '/reference/resources' },
        { text: 'holdfast', link: '/reference/holdfast' },
        { text: 'kubectl-holdfast', link: '/reference/kubectl-holdfast' },
        { text: 'Kinds', items: ['RemediationRequest', 'AIAnalysis', 'WorkflowExecution', 'NotificationRequest'].map((kind) => ({ text: kind, link: '/kinds/' + kind.toLowerCase() })) },
        { text: 'Entries', link: '/entry' },
        { text: 'Columns', link: '/captured' },
        { text: 'Database', link: '/database' },
        { text: 'Data Storage API', link: '/storage-api' },
        { text: 'Report API', link: '/reports#the-service' },
        { text: 'Performance', link: '/performance' },
        { text: 'Changelog', link: repository + 'CHANGELOG.md' },
      ] },
    ],
  },
})
