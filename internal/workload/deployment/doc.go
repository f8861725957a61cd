// Package deployment is how a Deployment's new revision is run beside the old one and handed over: objects in,
// objects out.
//
// Beside: Sluice makes the next ReplicaSet itself, owned by the Release; the Deployment ignores it. Handed over:
// one patch makes the Deployment its controller; since its template equals the Deployment's, the Deployment
// controller takes it for its own new ReplicaSet, starts no pod, and scales the old one to 0.
//
// It works on unstructured objects, so that template fields newer than our libraries survive. It may import api,
// release and apimachinery.
package deployment
