import { type SyntaxNode, type Tree } from '@lezer/common';
import { parser } from '@prometheus-io/lezer-promql';
import { children, typeError } from './promql-types';

/**
 * The faults of a PromQL expression, each with its position. There are none where it is well-formed. The expression may
 * contain Grafana's variables.
 */
export function promqlErrors(expr: string): string[] {
  const syntax = findings(expr, (node) => (node.type.isError ? unexpected(expr, node) : undefined));
  if (syntax.length > 0) return syntax;
  return findings(expr, (node) => typeError(expr, node) ?? wrongSelector(expr, node));
}

/**
 * The metrics that an expression reads, sorted. A regular expression on `__name__` gives its alternatives. One that
 * is not a plain name is returned as it is, so that the caller finds it unknown. A name with a Grafana variable in it
 * is left out.
 *
 * @throws if the expression is malformed.
 */
export function metricNames(expr: string): string[] {
  refuseMalformed(expr);
  const names = new Set<string>();
  visit(expr, (node) => {
    for (const name of namesAt(expr, node)) if (!name.includes('$')) names.add(name);
  });
  return [...names].sort();
}

/**
 * The same expression with one more matcher in each of its selectors: `namespace="web"` makes
 * `up{job="a"}` into `up{job="a", namespace="web"}`.
 *
 * @throws if the expression is malformed.
 */
export function withMatcher(expr: string, matcher: string): string {
  refuseMalformed(expr);
  const insertions: { at: number; text: string }[] = [];
  visit(expr, (node) => {
    if (node.name !== 'VectorSelector') return;
    const matchers = node.getChild('LabelMatchers');
    if (!matchers) return insertions.push({ at: node.to, text: `{${matcher}}` });
    const separator = children(matchers).length > 0 ? ', ' : '';
    insertions.push({ at: matchers.to - 1, text: separator + matcher });
  });
  return insertions.reduceRight(
    (text, { at, text: more }) => text.slice(0, at) + more + text.slice(at),
    expr,
  );
}

function refuseMalformed(expr: string): void {
  const [error] = promqlErrors(expr);
  if (error !== undefined) throw new Error(`'${expr}' is no PromQL: ${error}`);
}

function findings(expr: string, problemAt: (node: SyntaxNode) => string | undefined): string[] {
  const found: string[] = [];
  visit(expr, (node) => {
    const problem = problemAt(node);
    if (problem) found.push(`at ${node.from}: ${problem}, in '${excerpt(expr, node.from)}'`);
  });
  return found;
}

function visit(expr: string, enter: (node: SyntaxNode) => void): void {
  treeOf(expr).iterate({ enter: ({ node }) => enter(node) });
}

// A cache: environments and pipelines share most expressions, and each is visited several times.
const trees = new Map<string, Tree>();

function treeOf(expr: string): Tree {
  const tree = trees.get(expr) ?? parser.parse(withoutVariables(expr));
  trees.set(expr, tree);
  return tree;
}

// Replaces Grafana's variables by text of the same length, so that positions are those of the original.
function withoutVariables(expr: string): string {
  return expr
    .replace(/\$\{?__(range|interval)_m?s\}?/g, (variable) => '1'.padStart(variable.length))
    .replace(/\$\{?__(rate_interval|interval|range)\b\}?/g, (variable) => '5m'.padStart(variable.length))
    .replace(
      /(\[(?:[^\]]*:)?\s*|\boffset\s+)(\$\w+|\$\{\w+\})/g,
      (_, before: string, variable: string) => before + '5m'.padStart(variable.length),
    )
    .replace(/\$\{[^}]+\}|\$\w+/g, (variable) => variable.replace(/\W/g, '_'));
}

function unexpected(expr: string, node: SyntaxNode): string {
  const text = expr.slice(node.from, node.to);
  if (text) return `unexpected '${text}'`;
  return node.from >= expr.trimEnd().length ? 'unexpected end' : 'something is missing';
}

function wrongSelector(expr: string, node: SyntaxNode): string | undefined {
  if (node.name === 'VectorSelector' && !node.getChild('Identifier')) {
    const matchers = children(node.getChild('LabelMatchers'));
    const narrow = matchers.some((matcher) => !matchesAbsence(expr, matcher));
    return narrow ? undefined : 'a selector needs a name, or a label with a value';
  }
  const pattern = node.name === 'StringLiteral' && operatorOf(node).endsWith('Regex');
  return pattern && !regExp(expr, node) ? 'a broken regular expression' : undefined;
}

// Whether a matcher takes series that lack its label.
function matchesAbsence(expr: string, matcher: SyntaxNode): boolean {
  const value = matcher.getChild('StringLiteral');
  const operator = matcher.getChild('MatchOp');
  if (!value || !operator) return false;
  const matchesNothing = operatorOf(value).endsWith('Regex')
    ? (regExp(expr, value)?.test('') ?? false)
    : unquoted(expr, value) === '';
  return operatorOf(value).startsWith('Eql') === matchesNothing;
}

// Replaces RE2's syntax for flags and named groups, which JavaScript does not have.
function regExp(expr: string, pattern: SyntaxNode): RegExp | undefined {
  const source = unquoted(expr, pattern)
    .replace(/\(\?[imsU]+(:?)\)?/g, (_, group: string) => (group ? '(?:' : ''))
    .replace(/\(\?P</g, '(?<');
  try {
    return new RegExp(`^(?:${source})$`);
  } catch {
    return undefined;
  }
}

function namesAt(expr: string, node: SyntaxNode): string[] {
  if (node.name === 'Identifier' && node.parent?.name === 'VectorSelector')
    return [expr.slice(node.from, node.to)];
  if (node.name !== 'StringLiteral') return [];
  const matcher = node.parent;
  // {"name"}: a quoted name without an operator.
  if (matcher?.name === 'QuotedLabelName' && matcher.parent?.name === 'LabelMatchers')
    return [unquoted(expr, node)];
  const label = matcher?.getChild('LabelName') ?? matcher?.getChild('QuotedLabelName');
  if (!label || !/^["'`]?__name__["'`]?$/.test(expr.slice(label.from, label.to))) return [];
  if (operatorOf(node) === 'EqlSingle') return [unquoted(expr, node)];
  return operatorOf(node) === 'EqlRegex' ? unquoted(expr, node).split('|') : [];
}

function operatorOf(value: SyntaxNode): string {
  return value.parent?.getChild('MatchOp')?.firstChild?.name ?? '';
}

function unquoted(expr: string, node: SyntaxNode): string {
  const text = expr.slice(node.from + 1, node.to - 1);
  return expr[node.from] === '`' ? text : text.replace(/\\(.)/g, '$1');
}

function excerpt(expr: string, from: number): string {
  const start = Math.max(0, from - 20);
  return `${start > 0 ? '…' : ''}${expr.slice(start, from + 20)}${from + 20 < expr.length ? '…' : ''}`;
}
