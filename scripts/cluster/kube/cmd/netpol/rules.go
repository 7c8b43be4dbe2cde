package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	egress  = "POLICY-EGRESS"
	ingress = "POLICY-INGRESS"
)

type cluster struct {
	pods       []*core.Pod
	namespaces []*core.Namespace
	policies   []*networking.NetworkPolicy
}

// rules is the input of iptables-restore. A pod that a policy selects gets one
// rule for each thing that some policy allows it, and then one that rejects the
// rest. They act behind kube-proxy: addresses and ports are those of the pods.
func (c cluster) rules() []byte {
	var in, out []string
	slices.SortFunc(c.pods, func(a, b *core.Pod) int { return strings.Compare(a.Status.PodIP, b.Status.PodIP) })
	for _, pod := range c.pods {
		if !hasAddress(pod) {
			continue
		}
		var allowedIn, allowedOut []string
		var isolatedIn, isolatedOut bool
		for _, policy := range c.policies {
			if policy.Namespace != pod.Namespace || !selects(&policy.Spec.PodSelector, pod.Labels) {
				continue
			}
			if slices.Contains(policy.Spec.PolicyTypes, networking.PolicyTypeIngress) {
				isolatedIn = true
				for _, rule := range policy.Spec.Ingress {
					for _, peer := range c.peers(policy.Namespace, rule.From) {
						for _, port := range ports(rule.Ports, pod) {
							allowedIn = append(allowedIn, "-d "+pod.Status.PodIP+peer.match("-s")+port+" -j RETURN")
						}
					}
				}
			}
			if slices.Contains(policy.Spec.PolicyTypes, networking.PolicyTypeEgress) {
				isolatedOut = true
				for _, rule := range policy.Spec.Egress {
					for _, peer := range c.peers(policy.Namespace, rule.To) {
						for _, port := range ports(rule.Ports, peer.pod) {
							allowedOut = append(allowedOut, "-s "+pod.Status.PodIP+peer.match("-d")+port+" -j RETURN")
						}
					}
				}
			}
		}
		if isolatedIn {
			in = append(in, closed(allowedIn, "-d "+pod.Status.PodIP)...)
		}
		if isolatedOut {
			out = append(out, closed(allowedOut, "-s "+pod.Status.PodIP)...)
		}
	}

	var text bytes.Buffer
	fmt.Fprintf(&text, "*filter\n:%s - [0:0]\n:%s - [0:0]\n", ingress, egress)
	replies := "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"
	for _, rule := range append([]string{replies}, in...) {
		fmt.Fprintf(&text, "-A %s %s\n", ingress, rule)
	}
	for _, rule := range append([]string{replies}, out...) {
		fmt.Fprintf(&text, "-A %s %s\n", egress, rule)
	}
	text.WriteString("COMMIT\n")
	return text.Bytes()
}

func closed(allowed []string, match string) []string {
	slices.Sort(allowed)
	return append(slices.Compact(allowed), match+" -j REJECT")
}

// peer is one side of an allowed connection: a pod, addresses, or anything.
type peer struct {
	pod   *core.Pod
	block string
}

func (p peer) match(flag string) string {
	switch {
	case p.pod != nil:
		return " " + flag + " " + p.pod.Status.PodIP
	case p.block != "":
		return " " + flag + " " + p.block
	default:
		return ""
	}
}

func (c cluster) peers(namespace string, selectors []networking.NetworkPolicyPeer) []peer {
	if len(selectors) == 0 {
		return []peer{{}}
	}
	var peers []peer
	for _, selector := range selectors {
		if selector.IPBlock != nil {
			for _, block := range without(selector.IPBlock) {
				peers = append(peers, peer{block: block.String()})
			}
			continue
		}
		for _, pod := range c.pods {
			if hasAddress(pod) && c.inNamespace(pod, namespace, selector.NamespaceSelector) &&
				(selector.PodSelector == nil || selects(selector.PodSelector, pod.Labels)) {
				peers = append(peers, peer{pod: pod})
			}
		}
	}
	return peers
}

func (c cluster) inNamespace(pod *core.Pod, own string, selector *meta.LabelSelector) bool {
	if selector == nil {
		return pod.Namespace == own
	}
	return slices.ContainsFunc(c.namespaces, func(namespace *core.Namespace) bool {
		return namespace.Name == pod.Namespace && selects(selector, namespace.Labels)
	})
}

// ports are the matches for a rule's ports. A named port is the one that the
// pod which is connected to calls so: to anything else it allows nothing.
func ports(allowed []networking.NetworkPolicyPort, to *core.Pod) []string {
	if len(allowed) == 0 {
		return []string{""}
	}
	var matches []string
	for _, port := range allowed {
		protocol := core.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		match := " -p " + strings.ToLower(string(protocol))
		switch {
		case port.Port == nil:
			matches = append(matches, match)
		case port.Port.Type == intstr.String:
			for _, number := range named(to, port.Port.StrVal, protocol) {
				matches = append(matches, fmt.Sprintf("%s --dport %d", match, number))
			}
		case port.EndPort != nil:
			matches = append(matches, fmt.Sprintf("%s --dport %d:%d", match, port.Port.IntVal, *port.EndPort))
		default:
			matches = append(matches, fmt.Sprintf("%s --dport %d", match, port.Port.IntVal))
		}
	}
	return matches
}

func named(pod *core.Pod, name string, protocol core.Protocol) []int32 {
	var numbers []int32
	if pod != nil {
		for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			for _, port := range container.Ports {
				if port.Name == name && port.Protocol == protocol {
					numbers = append(numbers, port.ContainerPort)
				}
			}
		}
	}
	return numbers
}

// without is the block less its exceptions: halved until each half is wholly in or wholly out.
func without(block *networking.IPBlock) []netip.Prefix {
	whole, err := netip.ParsePrefix(block.CIDR)
	if err != nil || !whole.Addr().Is4() {
		return nil // The node has no IPv6.
	}
	var except []netip.Prefix
	for _, cidr := range block.Except {
		if prefix, err := netip.ParsePrefix(cidr); err == nil {
			except = append(except, prefix)
		}
	}
	var split func(netip.Prefix) []netip.Prefix
	split = func(prefix netip.Prefix) []netip.Prefix {
		for _, hole := range except {
			if hole.Bits() <= prefix.Bits() && hole.Overlaps(prefix) {
				return nil
			}
		}
		if !slices.ContainsFunc(except, prefix.Overlaps) {
			return []netip.Prefix{prefix}
		}
		low := netip.PrefixFrom(prefix.Addr(), prefix.Bits()+1)
		upper := prefix.Addr().As4()
		upper[prefix.Bits()/8] |= 0x80 >> (prefix.Bits() % 8)
		return append(split(low), split(netip.PrefixFrom(netip.AddrFrom4(upper), prefix.Bits()+1))...)
	}
	return split(whole.Masked())
}

func hasAddress(pod *core.Pod) bool {
	over := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
	return pod.Status.PodIP != "" && !pod.Spec.HostNetwork && !over
}

func selects(selector *meta.LabelSelector, of map[string]string) bool {
	parsed, err := meta.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(labels.Set(of))
}
