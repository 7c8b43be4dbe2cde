// Command netpol enforces NetworkPolicies on a single node with a bridge: what
// kube-router does on k3s. It watches pods, namespaces and policies, and writes
// the rules anew when one of them changes.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os/exec"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}

	factory := informers.NewSharedInformerFactory(kubernetes.NewForConfigOrDie(config), 0)
	pods, namespaces := factory.Core().V1().Pods(), factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	changed := make(chan struct{}, 1)
	signal := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { signal() },
			UpdateFunc: func(any, any) { signal() },
			DeleteFunc: func(any) { signal() },
		}); err != nil {
			log.Fatal(err)
		}
	}
	factory.Start(nil)
	factory.WaitForCacheSync(nil)

	signal()
	var written []byte
	for range changed {
		var state cluster
		state.pods, _ = pods.Lister().List(labels.Everything())
		state.namespaces, _ = namespaces.Lister().List(labels.Everything())
		state.policies, _ = policies.Lister().List(labels.Everything())
		if rules := state.rules(); !bytes.Equal(rules, written) {
			if err := write(rules); err != nil {
				log.Fatal(err)
			}
			written = rules
			log.Printf("%d policies, %d pods", len(state.policies), len(state.pods))
		}
		time.Sleep(50 * time.Millisecond) // One write for a burst of changes.
	}
}

func write(rules []byte) error {
	restore := exec.Command("iptables-restore", "--wait", "--noflush")
	restore.Stdin = bytes.NewReader(rules)
	if output, err := restore.CombinedOutput(); err != nil {
		return fmt.Errorf("iptables-restore: %v: %s\n%s", err, output, rules)
	}
	// FORWARD: from pod to pod. INPUT: from a pod to the node, the API server for
	// one. What the node itself sends, a probe for one, no policy may refuse.
	for _, jump := range [][]string{{"FORWARD", "-j", ingress}, {"FORWARD", "-j", egress}, {"INPUT", "-j", egress}} {
		if exec.Command("iptables", append([]string{"--wait", "-C"}, jump...)...).Run() == nil {
			continue
		}
		if output, err := exec.Command("iptables", append([]string{"--wait", "-I"}, jump...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("iptables -I %v: %v: %s", jump, err, output)
		}
	}
	return nil
}
